import { OptaError } from '../protocol/errors.ts';
import type { Overrides } from '../protocol/turn.ts';
import type { Context } from './context.ts';
import type { EnsuredDaemon } from './daemon-process.ts';
import { type Device, parseDevice } from './options.ts';

/** The flags that every command has which submits turns. */
export interface TurnFlags {
  model?: string;
  commit: boolean;
  checkpoints: boolean;
  auto?: boolean;
  dangerous?: boolean;
  yolo?: boolean;
}

export const overridesOf = (flags: TurnFlags, provider: string | undefined): Overrides => ({
  ...(flags.model ? { model: flags.model } : {}),
  ...(provider === undefined ? {} : { provider }),
  ...(flags.dangerous || flags.yolo ? { dangerous: true } : {}),
  ...(flags.auto ? { auto: true } : {}),
  ...(flags.commit ? {} : { noCommit: true }),
  ...(flags.checkpoints ? {} : { noCheckpoints: true }),
});

export const deviceOf = (text: string | undefined): Device | undefined =>
  text === undefined ? undefined : parseDevice(text);

/** The environment of a daemon that this command may start. */
export const envFor = (ctx: Context, device: Device | undefined): Context['env'] =>
  device
    ? { ...ctx.env, OPTA_HOST: device.host, OPTA_PORT: device.port === undefined ? undefined : String(device.port) }
    : { ...ctx.env };

/** A running daemon has an inference host of its own: nothing is moved to another one behind its back. */
export const requireOwn = (device: Device | undefined, { started }: EnsuredDaemon): void => {
  if (device === undefined || started) return;
  throw new OptaError(
    'daemon-already-running',
    '--device is for a daemon that this command starts; one is running with an inference host of its own. Stop it first: opta daemon stop',
  );
};

/** What is to be said of a provider that is asked for and has no effect. */
export const providerNote = (provider: string | undefined): string[] =>
  provider === undefined || provider === 'lmx'
    ? []
    : [`--provider ${provider} has no effect: every prompt goes to the configured inference host`];
