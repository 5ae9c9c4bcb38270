import { readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ensurePrivateDir, type OptaPaths, readPrivateFile, writePrivateFile } from '../config/paths.ts';
import { identityOf, isAlive, ownIdentity } from '../process-identity.ts';

/** What an inference server of this installation leaves for `opta lmx status` and `stop`. Holds no key. */
const RecordSchema = z.looseObject({
  pid: z.int().positive(),
  /** Tells the process from a later one with its number; null where nobody can tell. */
  processStarted: z.string().nullable(),
  /** Several machines may share a home folder. */
  hostname: z.string(),
  host: z.string(),
  port: z.int().min(1).max(65_535),
  engine: z.string(),
  version: z.string(),
  startedAt: z.string(),
  logsPath: z.string(),
});
export type LmxServerRecord = z.infer<typeof RecordSchema>;

const RECORD_BYTES_MAX = 65_536;
const fileOf = ({ lmxDir }: OptaPaths, pid: number): string => join(lmxDir, `server-${pid}.json`);

export const writeLmxServer = (
  paths: OptaPaths,
  facts: Omit<LmxServerRecord, 'pid' | 'processStarted' | 'hostname'>,
): void => {
  ensurePrivateDir(paths.lmxDir);
  const { pid, started } = ownIdentity();
  const record = { pid, processStarted: started, hostname: hostname(), ...facts };
  writePrivateFile(fileOf(paths, pid), `${JSON.stringify(record, null, 2)}\n`);
};

export const removeLmxServer = (paths: OptaPaths, pid: number): void => rmSync(fileOf(paths, pid), { force: true });

/** Those that run on this machine, in the order of their ports. What a dead one has left behind is removed. */
export const lmxServers = (paths: OptaPaths): LmxServerRecord[] =>
  filesIn(paths.lmxDir)
    .flatMap((name) => {
      const record = read(join(paths.lmxDir, name));
      // Of another machine: nobody here can say whether it lives.
      if (record === null || record.hostname !== hostname()) return [];
      if (isRunning(record)) return [record];
      removeLmxServer(paths, record.pid);
      return [];
    })
    .sort((a, b) => a.port - b.port || a.pid - b.pid);

export const isRunning = ({ pid, processStarted }: LmxServerRecord): boolean =>
  isAlive({ pid, started: processStarted });

/** Only a process that is known to be the one of the record is ever sent a signal. */
export const isProven = ({ pid, processStarted }: LmxServerRecord): boolean =>
  processStarted !== null && identityOf(pid) === processStarted;

const filesIn = (dir: string): string[] => {
  try {
    return readdirSync(dir).filter((name) => /^server-\d+\.json$/.test(name));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
};

/** Null for what says nothing usable, and for what somebody else could have written: it decides who is sent a signal. */
const read = (file: string): LmxServerRecord | null => {
  try {
    return RecordSchema.parse(JSON.parse(readPrivateFile(file, RECORD_BYTES_MAX) ?? ''));
  } catch {
    return null;
  }
};
