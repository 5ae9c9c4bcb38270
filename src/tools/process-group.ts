import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const PS_DEADLINE_MS = 2_000;

const errno = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Ends every process of the group at once. A group that is gone is fine. */
export const killGroup = (groupId: number): void => signalOne(-groupId, 'SIGKILL');

/** To a process, or with a negative id to a group. One that is gone, or not ours to signal, is passed over. */
export const signalOne = (id: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(id, signal);
  } catch (error) {
    if (errno(error) !== 'ESRCH' && errno(error) !== 'EPERM') throw error;
  }
};

/**
 * Whether a process of the group is still running ([CX4]). A dead one that nobody has waited for keeps its group in the
 * system's table, for ever where the first process of a container does not collect orphans; it runs no more and does not count.
 */
export const isGroupAlive = (groupId: number): boolean => {
  try {
    process.kill(-groupId, 0);
  } catch (error) {
    // EPERM: macOS says so of a group of dead processes; none of ours can become somebody else's.
    return errno(error) !== 'ESRCH' && errno(error) !== 'EPERM';
  }
  return process.platform !== 'linux' || groupMembers(groupId).length > 0;
};

/**
 * Linux only: ids of the processes that are not dead and belong to the group, or carry `mark` in the environment they were started
 * with: it is inherited, so what has left its group and its parent still has it.
 */
export const groupMembers = (groupId: number | null, mark?: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isMember(name, groupId, mark))
    .map(Number);

const isMember = (pid: string, groupId: number | null, mark: string | undefined): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything, so the fields are counted from its end: state, parent, group.
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return false;
    if (Number(group) === groupId || mark === undefined) return Number(group) === groupId;
    return `\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`.includes(`\0${mark}\0`);
  } catch {
    // It ended while the table was read, or is somebody else's.
    return false;
  }
};

/** Name of a process's program, as Linux has it; '' where that is not to be had. */
export const nameOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
};

/** The group that a process belongs to; null where it is gone or the system does not say. */
export const groupOf = (pid: number): number | null => {
  try {
    if (process.platform !== 'linux') return Number(said('ps', ['-o', 'pgid=', '-p', String(pid)])) || null;
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
  } catch {
    return null;
  }
};

const said = (program: string, args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', timeout: PS_DEADLINE_MS, stdio: ['ignore', 'pipe', 'ignore'] });
