import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** What the running daemon writes to `state.json`, and scripts read. */
export const DaemonStateSchema = z.looseObject({
  pid: z.number().int().positive(),
  daemonId: z.string(),
  host: z.string(),
  port: z.number().int().min(1).max(65_535),
  token: z.string().min(1),
  /** Opens what reads and nothing else; absent from older daemons. */
  observerToken: z.string().min(1).optional(),
  startedAt: z.string(),
  logsPath: z.string(),
});
export type DaemonState = z.infer<typeof DaemonStateSchema>;

/** Null when there is no state file; `'unreadable'` when there is one that says nothing usable. */
export const readDaemonState = (stateFile: string): DaemonState | null | 'unreadable' => {
  let text: string;
  try {
    text = readFileSync(stateFile, 'utf8');
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ENOENT' ? null : 'unreadable';
  }
  try {
    return DaemonStateSchema.parse(JSON.parse(text));
  } catch {
    return 'unreadable';
  }
};

/** The names and addresses that never leave this machine. */
export const isLoopbackHost = (host: string): boolean => {
  const h = host.toLowerCase().replace(/^\[|\]$/g, '');
  return h === 'localhost' || h === '::1' || /^127(\.\d{1,3}){3}$/.test(h);
};

/**
 * Whether a process runs. A zombie does not: it has ended and only waits for a parent to ask, which in a container
 * without an init process may be never.
 */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    // Gone between the two looks, or no procfs to ask: then signal 0 has the last word.
    return signalReaches(pid);
  }
};

const signalReaches = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The command line of a process, or '' when nobody can tell. */
export const commandOf = (pid: number): string => {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8', timeout: 2_000 });
  } catch {
    return '';
  }
};
