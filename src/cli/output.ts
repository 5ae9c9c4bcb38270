import { isatty } from 'node:tty';
import pc from 'picocolors';

export { oneLine, printable } from '../client/printable.ts';

/**
 * The only way to stdout and stderr. Results go to stdout, everything else to stderr. Nothing is cut short: whoever ends the
 * process waits for `flush()`. A reader that has gone away (EPIPE) is no error: the rest goes nowhere, quietly ([AU1]). A full disk
 * is one: what should have been kept was not ([AU6]).
 */
export interface Output {
  out(text: string): void;
  err(text: string): void;
  /** One compact JSON line on stdout. */
  json(value: unknown): void;
  /** JSON indented by two, as `list --json` and its kin have it. */
  pretty(value: unknown): void;
  /** Bytes given to stdout that its reader has not taken yet. */
  bufferedBytes(): number;
  /** Called once, when stdout has taken everything or nobody reads it any more. */
  onDrain(fn: () => void): void;
  /** Whether anybody still reads stdout. */
  readonly closed: boolean;
  /** Why results were lost that somebody wanted to keep. */
  readonly lost: Error | null;
  flush(): Promise<void>;
}

type Stream = NodeJS.WriteStream;

/** The output was to be kept, and there is no room for it or no way to it. Any other failure is a reader that has gone. */
const LOSSES: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO']);

export const createOutput = (stdout: Stream = process.stdout, stderr: Stream = process.stderr): Output => {
  const gone = { stdout: false, stderr: false };
  const pending = { stdout: 0, stderr: 0 };
  let lost: Error | null = null;
  let waiting: (() => void)[] = [];
  const settle = (): void => {
    if (pending.stdout + pending.stderr > 0) return;
    const ready = waiting;
    waiting = [];
    for (const fn of ready) fn();
  };
  const write = (name: 'stdout' | 'stderr', stream: Stream, text: string): void => {
    if (gone[name] || text === '') return;
    pending[name] += 1;
    stream.write(text, () => {
      pending[name] = Math.max(0, pending[name] - 1);
      settle();
    });
  };
  for (const [name, stream] of [
    ['stdout', stdout],
    ['stderr', stderr],
  ] as const) {
    stream.on('error', (cause: NodeJS.ErrnoException) => {
      if (name === 'stdout' && LOSSES.has(cause.code ?? '')) lost ??= cause;
      gone[name] = true;
      pending[name] = 0;
      settle();
    });
  }
  const out = (text: string): void => write('stdout', stdout, text);
  return {
    out,
    err: (text) => write('stderr', stderr, text),
    json: (value) => out(`${JSON.stringify(value)}\n`),
    pretty: (value) => out(`${JSON.stringify(value, null, 2)}\n`),
    bufferedBytes: () => (gone.stdout ? 0 : stdout.writableLength),
    onDrain: (fn) => {
      if (gone.stdout || !stdout.writableNeedDrain) {
        setImmediate(fn);
        return;
      }
      // A reader that leaves never drains what is left for it.
      const once = (): void => {
        stdout.removeListener('drain', once);
        stdout.removeListener('close', once);
        stdout.removeListener('error', once);
        fn();
      };
      stdout.on('drain', once).on('close', once).on('error', once);
    },
    get closed() {
      return gone.stdout;
    },
    get lost() {
      return lost;
    },
    flush: () => new Promise((resolve) => (pending.stdout + pending.stderr === 0 ? resolve() : waiting.push(resolve))),
  };
};

type ColourEnv = { readonly [name: string]: string | undefined };

/** Colour is for people at a terminal. */
export const wantsColour = (env: ColourEnv, isTty: boolean): boolean => {
  if (env.FORCE_COLOR && env.FORCE_COLOR !== '0') return true;
  return isTty && !env.NO_COLOR && !isCi(env) && env.TERM !== 'dumb';
};

export const isCi = (env: ColourEnv): boolean =>
  env.CI !== undefined && env.CI !== '' && env.CI !== 'false' && env.CI !== '0';

/** Colours for stderr, where all of the CLI's own words go. */
export const colour = pc.createColors(wantsColour(process.env, isatty(2)));

/** A person sits at the keyboard and can be asked. */
export const canAsk = (env: ColourEnv = process.env): boolean => isatty(0) && isatty(2) && !isCi(env);

export const seconds = (ms: number): string => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`);
