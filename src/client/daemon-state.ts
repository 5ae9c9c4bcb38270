import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { isAlive as isSameProcess } from '../process-identity.ts';

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
  /** Tells the process from a later one with its number; absent in files of older daemons, null where nobody can tell. */
  processStarted: z.string().nullish(),
  /** The machine, since several may share a home folder. */
  hostname: z.string().optional(),
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

/** Whether a process runs; a zombie does not. */
export const isAlive = (pid: number): boolean => isSameProcess({ pid, started: null });

/** Whether the very process that wrote this state still runs: not another one that was given its number ([LC2]). */
export const isWriterAlive = ({ pid, processStarted }: DaemonState): boolean =>
  isSameProcess({ pid, started: processStarted ?? null });

/** Why a state file cannot be believed: whoever may write it decides where tokens and prompts go. Null when it can. */
export const distrustOf = (stateFile: string): string | null => {
  if (!existsSync(stateFile) || process.getuid === undefined) return null;
  const stat = statSync(stateFile, { throwIfNoEntry: false });
  // Removed between the two looks.
  if (stat === undefined) return null;
  if (stat.uid !== process.getuid()) return `${stateFile} belongs to another user (uid ${stat.uid})`;
  if ((stat.mode & 0o022) === 0) return null;
  return `${stateFile} can be written by others (mode ${(stat.mode & 0o777).toString(8)})`;
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
