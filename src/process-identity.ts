import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { OptaError } from './protocol/errors.ts';

/**
 * Which process a pid means. A pid alone is given to another process after its owner's death, so a process is named by its pid,
 * its start time and, where the start time counts from the boot, the boot.
 */
export interface ProcessIdentity {
  pid: number;
  /** Opaque; null where the system does not say. */
  started: string | null;
}

const PS_DEADLINE_MS = 2_000;

export const ownIdentity = (): ProcessIdentity => ({ pid: process.pid, started: startOf(process.pid) ?? null });

/** What proves that a pid still means the same process; null when there is none or the system does not say. */
export const identityOf = (pid: number): string | null => {
  const started = startOf(pid);
  return started === undefined || started === 'dead' ? null : started;
};

/** False only when it is certain that this very process is gone: not there, a zombie, or another one with its pid. */
export const isAlive = (who: ProcessIdentity): boolean => {
  if (!exists(who.pid)) return false;
  // Elsewhere the system has to be asked by starting a program, which is worth it only when there is something to compare.
  if (who.started === null && process.platform !== 'linux') return true;
  const started = startOf(who.pid);
  if (started === undefined) return exists(who.pid);
  if (started === 'dead') return false;
  return started === null || who.started === null || started === who.started;
};

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    // Of another user: there, though not ours to signal.
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** `undefined`: the process could not be looked at, perhaps because it just ended. */
const startOf = (pid: number): string | 'dead' | null | undefined => {
  if (process.platform === 'linux') return startOnLinux(pid);
  if (process.platform === 'win32') return null;
  try {
    const text = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      timeout: PS_DEADLINE_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
      // The same process must read the same to everyone, whatever their locale and time zone.
      env: { LC_ALL: 'C', TZ: 'UTC', PATH: process.env.PATH ?? '' },
    }).trim();
    return text.startsWith('Z') ? 'dead' : text.replace(/^\S+\s+/, '');
  } catch (cause) {
    if ((cause as { status?: unknown }).status === 1) return undefined;
    return null;
  }
};

const startOnLinux = (pid: number): string | 'dead' | null | undefined => {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return undefined;
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, started] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X') return 'dead';
  const boot = readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  return started === undefined ? null : `${boot}:${started}`;
};

const readText = (file: string): string | null => {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return null;
    throw new OptaError('internal', `${file} cannot be read: ${code ?? String(cause)}`);
  }
};
