import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Linux only: the system's own list, so that no test has to believe the daemon about its processes. */
export interface ProcessEntry {
  pid: number;
  parent: number;
  group: number;
  state: string;
  command: string;
}

/** Where there is none, tests that need it are skipped. */
export const hasProcessTable = existsSync('/proc/self/stat');
/** For the title of what is skipped without one. */
export const noProcessTable = hasProcessTable ? '' : ' (skipped: this system has no /proc)';

/** All processes that are not dead; an entry that ends while it is read is left out. */
export const processes = (): ProcessEntry[] =>
  (hasProcessTable ? readdirSync('/proc') : [])
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state = '', parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z' || state === 'X') return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), parent: Number(parent), group: Number(group), state, command }];
      } catch {
        return [];
      }
    });

/** Everything below a process. */
export const descendants = (pid: number): ProcessEntry[] => {
  const all = processes();
  const below = (parent: number): ProcessEntry[] =>
    all.filter((p) => p.parent === parent).flatMap((p) => [p, ...below(p.pid)]);
  return below(pid);
};
