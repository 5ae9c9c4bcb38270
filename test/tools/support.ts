import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Log, ToolResult } from '../../src/actors/ports.ts';
import { createTools, type ToolRunner } from '../../src/tools/runner.ts';

export const clock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
  soon: (fn) => void setImmediate(fn),
};

export interface LogLine {
  level: string;
  msg: string;
  facts: object;
}

export const recordingLog = (): Log & { lines: LogLine[] } => {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (msg: string, facts: object = {}) =>
      void lines.push({ level, msg, facts });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
};

export const BOUNDS = { outputBytesMax: 256 * 1024, deadlineMs: 10_000 };

/** A folder with a workspace and, beside it, what nobody may touch. */
export interface Site {
  top: string;
  ws: string;
  outside: string;
  remove(): void;
}

export const CANARY = 'CANARY-7f3a';

/** In memory where the system has such a place: hundreds of flushed writes need no disk to be tested. */
const PLACE = fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export const site = (): Site => {
  const top = fs.realpathSync(fs.mkdtempSync(join(PLACE, 'opta-tools-')));
  const ws = join(top, 'ws');
  const outside = join(top, 'outside');
  fs.mkdirSync(ws);
  fs.mkdirSync(join(outside, 'sub'), { recursive: true });
  fs.writeFileSync(join(outside, 'secret.txt'), `${CANARY} one\n`);
  fs.writeFileSync(join(outside, 'sub', `${CANARY}-name.txt`), `${CANARY} two\n`);
  return { top, ws, outside, remove: () => fs.rmSync(top, { recursive: true, force: true }) };
};

/** Names, kinds, modes, inodes, times and contents of everything below a folder. */
export const fingerprint = (folder: string): string => {
  const hash = createHash('sha256');
  const visit = (path: string): void => {
    const s = fs.lstatSync(path, { bigint: true });
    hash.update(`${path}\0${s.mode}\0${s.ino}\0${s.nlink}\0${s.size}\0${s.mtimeNs}\0${s.ctimeNs}\0`);
    if (s.isDirectory()) for (const name of fs.readdirSync(path).sort()) visit(join(path, name));
    else if (s.isFile()) hash.update(fs.readFileSync(path));
    else if (s.isSymbolicLink()) hash.update(fs.readlinkSync(path));
  };
  visit(folder);
  return hash.digest('hex');
};

export interface Proc {
  pid: number;
  ppid: number;
  group: number;
  state: string;
  command: string;
}

export const processes = (): Proc[] =>
  fs
    .readdirSync('/proc')
    .filter((n) => /^\d+$/.test(n))
    .flatMap((pid) => {
      try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
        const [state, ppid, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
        return [{ pid: Number(pid), ppid: Number(ppid), group: Number(group), state: state!, command }];
      } catch {
        // It ended while the table was read.
        return [];
      }
    });

/** Tool processes of `parent`, dead ones left out. */
export const toolProcesses = (parent: number): Proc[] =>
  processes().filter((p) => p.ppid === parent && p.command.includes('runner-child') && p.state !== 'Z');

export const aliveInGroups = (groups: number[]): Proc[] =>
  processes().filter((p) => groups.includes(p.group) && p.state !== 'Z' && p.state !== 'X');

export const until = async (what: string, holds: () => boolean, timeoutMs = 8_000): Promise<void> => {
  const end = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

export interface Started {
  /** Settles with the result, or stays open. */
  result: Promise<ToolResult>;
  results: ToolResult[];
  kill(): Promise<void>;
}

export const starter =
  (tools: ToolRunner, workspace: string) =>
  (name: string, args: { [key: string]: unknown }, deadlineMs = 10_000): Started => {
    const results: ToolResult[] = [];
    let tell: (r: ToolResult) => void = () => undefined;
    const result = new Promise<ToolResult>((resolve) => {
      tell = resolve;
    });
    const run = { sessionId: 's', turnId: 't', callId: 'c', name, args, workspace, deniedPaths: [], deadlineMs };
    const handle = tools.start(run, (r) => {
      results.push(r);
      tell(r);
    });
    return { result, results, kill: () => new Promise<void>((resolve) => handle.kill(resolve)) };
  };

export const runner = (): { tools: ToolRunner; log: ReturnType<typeof recordingLog> } => {
  const log = recordingLog();
  return { tools: createTools({ clock, log }), log };
};

/** Matching this name against `ENDLESS_GLOB` takes longer than anybody will wait. */
export const ENDLESS_NAME = 'a'.repeat(240);
export const ENDLESS_GLOB = `${'*a'.repeat(24)}b`;
