import { z } from 'zod';
import type { Env, OptaPaths } from '../config/paths.ts';
import { OptaError } from '../protocol/errors.ts';
import type { OperationInfo, Safety } from '../protocol/operations/named.ts';
import type { Call } from '../protocol/operations.ts';

/** What an operation needs of the process that runs it: the daemon, or the CLI beside it. */
export interface OperationWorld {
  /** The operations of the control plane: inside the daemon, or over the wire. */
  call: Call;
  paths: OptaPaths;
  env: Env;
  version: string;
  /** Aborts when its deadline has passed, and for what only reads when nobody waits for the answer any more. */
  signal: AbortSignal;
  /** The daemon that this runs in; absent beside one. */
  daemon?: DaemonSelf;
}

/** What only the daemon itself knows and can do. */
export interface DaemonSelf {
  /** Stops it as a signal would: the answers that are under way still leave. */
  stop(): void;
  /** What it would say of itself to `opta doctor`. */
  selfCheck(): Promise<SelfCheck>;
  /** Inference servers on this machine that are not the configured one. */
  localServers(): Promise<OfferedServer[]>;
  /** The completion script of the CLI beside it. */
  completions(shell: Shell): Promise<string>;
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What carries the planes, and what the inference server answered. */
export interface SelfCheck {
  transport: { adapter: string; why: string };
  /** How commands of the model are confined. */
  sandbox: { kind: string; why: string };
  inference: { place: string; ok: boolean; message: string; code?: string; models?: string[] | null };
}

export interface OfferedServer {
  name: string;
  port: number;
  /** What to type to use it. */
  offer: string;
}

/** One named operation: what `POST /v3/operations/:id` runs, and the command of the CLI with the same words. */
export interface NamedOperation extends Omit<OperationInfo, 'id'> {
  input: z.ZodType;
  /** How long it may take, in ms. */
  deadlineMs?: number;
  /** Resolves with what the CLI prints under `--json`. Rejects with an `OptaError`. */
  run(world: OperationWorld, input: unknown): Promise<unknown>;
}

/** Operations by id. */
export type Operations = { readonly [id: string]: NamedOperation };

interface Definition<I extends z.ZodType> {
  title: string;
  description: string;
  safety: Safety;
  input: I;
  deadlineMs?: number;
  run(world: OperationWorld, input: z.output<I>): unknown;
}

/** A row of the catalogue. Its input is checked before it runs; a wrong one rejects with `invalid-request`. */
export const define = <I extends z.ZodType>({ run, ...row }: Definition<I>): NamedOperation => ({
  ...row,
  run: async (world, input) => {
    const parsed = row.input.safeParse(input ?? {});
    if (!parsed.success)
      throw new OptaError('invalid-request', 'Invalid operation input', { details: parsed.error.issues });
    return run(world, parsed.data);
  },
});

/** For operations that take nothing; what is given all the same is passed over, as the old daemon did. */
export const nothing = z.object({});

/** Throws when this does not run inside a daemon. */
export const daemonSelf = ({ daemon }: OperationWorld): DaemonSelf => {
  if (daemon) return daemon;
  throw new OptaError('internal', 'Only the daemon itself can do this');
};
