import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { LIMITS } from '../../actors/limits.ts';
import { bubblewrapArgs } from './bubblewrap.ts';
import { type Confinement, confinementOf, type SandboxOptions } from './confinement.ts';
import { seatbeltProfile } from './seatbelt.ts';

/**
 * How commands are confined here: found and tried once, when the daemon starts. There is no weaker kind in between: what cannot do
 * all of it is none, and then every command is asked about.
 */
export interface Sandbox {
  kind: 'bubblewrap' | 'seatbelt' | 'none';
  /** In words: the program and its version, or why there is none. */
  why: string;
  /** The command inside the sandbox; null when this folder cannot be confined. */
  wrap(argv: string[], at: { workspace: string; cwd: string; network: boolean }): string[] | null;
}

/** Programs whose signals are for what they hold, not for themselves: they end when that does. */
export const WRAPPERS: ReadonlySet<string> = new Set(['bwrap', 'sandbox-exec']);

export const noSandbox = (why: string): Sandbox => ({ kind: 'none', why, wrap: () => null });

export const findSandbox = (
  options: SandboxOptions & { mode: 'auto' | 'off' },
  platform: NodeJS.Platform = process.platform,
  path: string = process.env.PATH ?? '/usr/bin:/bin',
): Sandbox => {
  if (options.mode === 'off') return noSandbox('sandbox.mode is off');
  if (platform === 'linux') return bubblewrap(options, path);
  if (platform === 'darwin') return seatbelt(options);
  return noSandbox(`there is none for ${platform}`);
};

const bubblewrap = (options: SandboxOptions, path: string): Sandbox => {
  const program = programIn(path, 'bwrap');
  if (program === null) return noSandbox('bubblewrap (bwrap) is not installed');
  const wrap: Sandbox['wrap'] = (argv, at) => {
    const c = confinementOf(at, options);
    return c && [program, ...bubblewrapArgs(c), ...argv];
  };
  const version = said(program, ['--version']) ?? 'bubblewrap';
  const trouble = tried(wrap);
  return trouble === null ? { kind: 'bubblewrap', why: version, wrap } : noSandbox(`${version}: ${trouble}`);
};

const seatbelt = (options: SandboxOptions): Sandbox => {
  const program = '/usr/bin/sandbox-exec';
  const wrap: Sandbox['wrap'] = (argv, at) => {
    const c: Confinement | null = confinementOf(at, options);
    return c && [program, '-p', seatbeltProfile(c), ...argv];
  };
  const trouble = tried(wrap);
  return trouble === null ? { kind: 'seatbelt', why: 'the macOS sandbox', wrap } : noSandbox(trouble);
};

const programIn = (path: string, name: string): string | null => {
  for (const folder of path.split(delimiter)) {
    // A relative entry would be looked for in whatever folder a command runs in.
    if (!folder.startsWith('/')) continue;
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this one.
    }
  }
  return null;
};

const said = (program: string, args: string[]): string | null => {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: LIMITS.sandboxProbeMs, env: {} });
  return status === 0 ? stdout.trim() : null;
};

/** Under the very arguments of a command: it writes in its workspace, and cannot beside it. Null when both hold. */
const tried = (wrap: Sandbox['wrap']): string | null => {
  const beside = mkdtempSync(join(tmpdir(), 'opta-sandbox-'));
  try {
    const workspace = mkdtempSync(join(beside, 'w'));
    const script = `echo in >"$1/in" && ! (echo out >"$2/out") 2>/dev/null && test ! -e "$2/out" && echo held`;
    const argv = ['/bin/sh', '-c', script, 'sh', workspace, '/etc'];
    const wrapped = wrap(argv, { workspace, cwd: workspace, network: false });
    if (wrapped === null) return 'the folder for temporary files cannot be confined';
    const [program = '', ...args] = wrapped;
    const options = { encoding: 'utf8', timeout: LIMITS.sandboxProbeMs, env: { PATH: '/usr/bin:/bin' } } as const;
    const { status, stdout, stderr, error } = spawnSync(program, args, options);
    if (status === 0 && stdout === 'held\n') return null;
    return `it does not work here: ${(error?.message ?? stderr.trim().split('\n')[0]) || `status ${status}`}`;
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
};
