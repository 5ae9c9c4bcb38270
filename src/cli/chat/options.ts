import { realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { DefaultMode } from '../../config/schema.ts';
import type { Mode, Overrides } from '../../protocol/turn.ts';
import type { Context } from '../context.ts';
import { asksNobody, type ModeFlags, withDefaultMode } from '../default-mode.ts';
import { UsageError } from '../exit.ts';
import { type Device, parseProvider } from '../options.ts';
import { deviceOf, envFor, overridesOf, type TurnFlags } from '../turn-flags.ts';

export interface ChatOptions extends TurnFlags {
  resume?: string;
  session?: string;
  plan?: boolean;
  review?: boolean;
  research?: boolean;
  provider?: string;
  device?: string;
  format: string;
  addDir?: string[];
  /** The full screen, or the line mode whatever the configuration says. */
  tui?: boolean;
  plain?: boolean;
}

export type Format = 'text' | 'json';

/** What the command line says of a conversation, checked before anything is started. */
export interface ChatSetup {
  format: Format;
  mode: Mode;
  overrides: Overrides;
  device: Device | undefined;
  env: Context['env'];
  /** Folders beside the workspace whose files may be named with `@`. */
  addDirs: string[];
  /** Whether a person at the terminal is asked. */
  asks: boolean;
}

export const setupOf = (ctx: Context, options: ChatOptions): ChatSetup => {
  const format = formatOf(options);
  if (options.session !== undefined && options.resume !== undefined)
    throw new UsageError('--session and --resume name the same thing: give one of them');
  if (options.tui && options.plain) throw new UsageError('--tui and --plain exclude each other');
  const provider = options.provider === undefined ? undefined : parseProvider(options.provider);
  const device = deviceOf(options.device);
  return {
    format,
    mode: modeOf(options),
    overrides: overridesOf(options, provider),
    device,
    env: envFor(ctx, device),
    addDirs: (options.addDir ?? []).map((path) => folder(ctx.cwd, path)),
    asks: true,
  };
};

/** The same with what `defaultMode` of the configuration says where the command line is silent. */
export const withStandard = (setup: ChatSetup, options: ChatOptions, standard: DefaultMode): ChatSetup => {
  const { auto, dangerous, yolo } = options;
  const said: ModeFlags = { ...(auto ? { auto } : {}), ...(dangerous || yolo ? { dangerous: true } : {}) };
  const flags = withDefaultMode(said, standard, setup.mode);
  return {
    ...setup,
    mode: setup.mode === 'chat' ? (flags.mode as Mode) : setup.mode,
    overrides: {
      ...setup.overrides,
      ...(flags.auto ? { auto: true } : {}),
      ...(flags.dangerous ? { dangerous: true } : {}),
    },
    asks: !asksNobody(standard),
  };
};

export const formatOf = ({ format }: Pick<ChatOptions, 'format'>): Format => {
  if (format === 'text' || format === 'json') return format;
  throw new UsageError(`Unknown format "${format}": text or json`);
};

/** A read-only mode holds whatever `--auto` or `--dangerous` say beside it: the daemon refuses at execution. */
const modeOf = ({ plan, review, research }: ChatOptions): Mode => {
  const asked = (Object.entries({ plan, review, research }) as [Mode, boolean | undefined][]).filter(([, on]) => on);
  if (asked.length > 1)
    throw new UsageError(`${asked.map(([mode]) => `--${mode}`).join(' and ')} exclude each other: a turn has one mode`);
  return asked[0]?.[0] ?? 'chat';
};

const folder = (cwd: string, path: string): string => {
  try {
    const real = realpathSync(resolve(cwd, path));
    if (statSync(real).isDirectory()) return real;
  } catch {
    // Said below: what is not there is no folder either.
  }
  throw new UsageError(`--add-dir: ${path} is not a folder`);
};
