import { execFileSync, fork } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Clock } from '../../src/actors/ports.ts';
import { killGroup } from '../../src/tools/process-group.ts';
import { createTools, type ToolRunner } from '../../src/tools/runner.ts';
import {
  aliveInGroups,
  clock,
  ENDLESS_GLOB,
  ENDLESS_NAME,
  processes,
  type recordingLog,
  runner,
  type Site,
  site,
  starter,
  toolProcesses,
  until,
} from './support.ts';

let at: Site;
let tools: ToolRunner;
let log: ReturnType<typeof recordingLog>;
let start: ReturnType<typeof starter>;

beforeEach(() => {
  at = site();
  ({ tools, log } = runner());
  start = starter(tools, at.ws);
  fs.writeFileSync(join(at.ws, 'a.txt'), 'hello\n');
});
afterEach(async () => {
  await tools.close();
  at.remove();
});

const ENDLESS = ['find_files', { pattern: ENDLESS_GLOB }] as const;
/** Zeros without end, as far as a search is concerned: no line, no match. */
const SLOW = ['search_files', { pattern: 'x', path: 'zeros' }] as const;

const makeEndless = (): void => {
  fs.writeFileSync(join(at.ws, ENDLESS_NAME), '');
  fs.writeFileSync(join(at.ws, 'zeros'), '');
  fs.truncateSync(join(at.ws, 'zeros'), 1 << 30);
  fs.truncateSync(join(at.ws, 'zeros'), 2 ** 42);
};

const groups = (): number[] => toolProcesses(process.pid).map((p) => p.pid);
const searching = (groupIds: number[]): boolean =>
  processes().some((p) => groupIds.includes(p.group) && p.command.includes('--byte-offset'));
/** Uses its processor: the job is in its loop, not merely loaded. */
const spins = (pid: number): boolean => {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'R' && Number(fields[11]) > 40;
};

test('[TL2] a call runs in a process of its own group, without the secrets of ours, and the next one finds it warm', async () => {
  process.env.OPTA_TOKEN = 'top-secret';
  try {
    expect(await start('read_file', { path: 'a.txt' }).result).toEqual({ result: '1\thello\n', isError: false });
  } finally {
    delete process.env.OPTA_TOKEN;
  }
  const [pid] = groups();
  expect(processes().find((p) => p.pid === pid)?.group).toBe(pid);
  const names = fs
    .readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .filter((v) => v !== '')
    .map((v) => v.split('=')[0]);
  expect(names.filter((n) => !n!.startsWith('NODE_CHANNEL')).sort()).toEqual(['HOME', 'LANG', 'PATH']);
  expect((await start('write_file', { path: 'b', content: 'x' }).result).isError).toBe(false);
  expect((await start('read_file', { path: '../outside/secret.txt' }).result).result).toMatch(
    /^Error \(outside-workspace\)/,
  );
  expect(groups()).toEqual([pid]);
  expect(tools.status()).toEqual({ workers: 1, busy: 0, queued: 0 });
  await tools.close();
  expect(aliveInGroups([pid!])).toEqual([]);
});

test('[PM4] arguments that plan would refuse are refused at execution too, without a process', async () => {
  const bad = start('write_file', { path: 'b' });
  expect(bad.results).toEqual([]);
  expect(await bad.result).toMatchObject({
    isError: true,
    result: expect.stringMatching(/^Error \(invalid-request\)/),
  });
  expect((await start('rm', {}).result).result).toMatch(/^Error \(tool-unknown\)/);
  expect(tools.status().workers).toBe(0);
});

test('[TL1] a session without a workspace gets a clear error; a FIFO does not hang', async () => {
  expect((await starter(tools, '')('list_dir', {}).result).result).toMatch(/no workspace folder/);
  execFileSync('mkfifo', [join(at.ws, 'fifo')]);
  const more = { content: 'x', pattern: 'x' };
  for (const [name, args] of [
    ['read_file', []],
    ['write_file', ['content']],
    ['search_files', ['pattern']],
  ] as const) {
    const picked = Object.fromEntries(args.map((key) => [key, more[key]]));
    const { result } = await start(name, { path: 'fifo', ...picked }).result;
    expect(result).toMatch(/fifo is not a regular file/);
  }
});

test('[CX4] a kill in the middle of a search and of an endless job leaves no process of the group', async () => {
  makeEndless();
  const jobs = [start(...SLOW), start(...ENDLESS)];
  await until('both run', () => tools.status().busy === 2 && groups().length === 2);
  const ids = groups();
  await until('ripgrep runs', () => searching(ids));
  await until('the glob is matched', () => ids.some(spins));
  // A job that runs is no obstacle for another session's call.
  expect((await start('read_file', { path: 'a.txt' }).result).isError).toBe(false);
  await Promise.all(jobs.map((j) => j.kill()));
  expect(aliveInGroups(ids)).toEqual([]);
  expect(jobs.flatMap((j) => j.results)).toEqual([]);
  // Twice is fine, and so is a job that is over.
  await jobs[0]!.kill();
  expect(tools.status()).toEqual({ workers: 1, busy: 0, queued: 0 });
  expect(log.lines.filter((l) => l.level === 'error')).toEqual([]);
});

test('[SV2] a job past its deadline is an error once its group is gone, also when it only waited', async () => {
  makeEndless();
  const jobs = Array.from({ length: LIMITS.toolJobsMax }, () => start(...ENDLESS, 1_200));
  const waiting = start('read_file', { path: 'a.txt' }, 60);
  const killed = start('read_file', { path: 'a.txt' });
  const last = start('read_file', { path: 'a.txt' });
  expect((await waiting.result).result).toMatch(/^Error \(tool-timeout\).*waited for a free process/);
  expect(tools.status()).toMatchObject({ busy: LIMITS.toolJobsMax, queued: 2 });
  await killed.kill();
  await until('all have started', () => groups().length === LIMITS.toolJobsMax);
  const ids = groups();
  for (const job of jobs) {
    expect(await job.result).toEqual({ result: 'Error (tool-timeout): not done within 1200 ms', isError: true });
  }
  expect(aliveInGroups(ids)).toEqual([]);
  expect((await last.result).result).toBe('1\thello\n');
  expect(killed.results).toEqual([]);
});

test('[SV3] the queue is bounded and first in, first out', async () => {
  makeEndless();
  const busy = Array.from({ length: LIMITS.toolJobsMax }, () => start(...ENDLESS));
  await until('all are taken', () => tools.status().busy === LIMITS.toolJobsMax);
  const order: number[] = [];
  const queued = Array.from({ length: LIMITS.toolQueueMax }, (_, i) => {
    const job = start('read_file', { path: 'a.txt' });
    void job.result.then(() => order.push(i));
    return job;
  });
  expect((await start('read_file', { path: 'a.txt' }).result).result).toMatch(/^Error \(too-many-requests\)/);
  await Promise.all(queued.slice(20).map((j) => j.kill()));
  expect(tools.status().queued).toBe(20);
  await busy[0]!.kill();
  await until('the queue is done', () => order.length === 20);
  expect(order).toEqual([...order].sort((a, b) => a - b));
  await tools.close();
  for (const job of busy.slice(1)) expect((await job.result).result).toMatch(/^Error \(shutting-down\)/);
  expect((await start('list_dir', {}).result).result).toMatch(/^Error \(shutting-down\)/);
});

test('[SV3] a process without work is ended; [CX4] one that will not die is given up on, loudly', async () => {
  const idle: (() => void)[] = [];
  let giveUpAtOnce = false;
  const quick: Clock = {
    ...clock,
    setTimeout: (fn, ms) => {
      if (ms === LIMITS.toolIdleMs) idle.push(fn);
      // Before the end of the process can have been noticed.
      if (ms === LIMITS.toolKillDeadlineMs && giveUpAtOnce) queueMicrotask(fn);
      return clock.setTimeout(fn, ms);
    },
  };
  const own = createTools({ clock: quick, log });
  const startOwn = starter(own, at.ws);
  await startOwn('read_file', { path: 'a.txt' }).result;
  const [pid] = groups();
  idle[0]!();
  await until('it is gone', () => own.status().workers === 0);
  expect(aliveInGroups([pid!])).toEqual([]);
  expect(log.lines).toEqual([]);

  giveUpAtOnce = true;
  makeEndless();
  const job = startOwn(...ENDLESS);
  await until('it runs', () => groups().length === 1);
  await job.kill();
  expect(log.lines).toMatchObject([{ level: 'error', facts: { exited: false } }]);
  expect(own.status()).toEqual({ workers: 0, busy: 0, queued: 0 });
  await own.close();
});

test('[SV1] a process that crashes loses its own call only', async () => {
  makeEndless();
  const job = start(...SLOW);
  await until('ripgrep runs', () => searching(groups()));
  const [pid] = groups();
  process.kill(pid!, 'SIGSEGV');
  expect(await job.result).toMatchObject({ isError: true, result: expect.stringContaining('ended with SIGSEGV') });
  // What the crash left behind, the search and the guard, is gone before the answer.
  expect(aliveInGroups([pid!])).toEqual([]);
  expect((await start('read_file', { path: 'a.txt' }).result).isError).toBe(false);
  expect(job.results).toHaveLength(1);
  // One that dies while it is idle is replaced unnoticed.
  const [idle] = groups();
  process.kill(idle!, 'SIGKILL');
  await until('it is gone', () => tools.status().workers === 0);
  expect((await start('read_file', { path: 'a.txt' }).result).isError).toBe(false);
});

test('[CX4] tool processes die with the daemon, however it dies and however busy they are', async () => {
  makeEndless();
  const fixture = new URL('./daemon.fixture.ts', import.meta.url);
  const daemon = fork(fixture, [], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  daemon.send({ workspace: at.ws, calls: [SLOW, ENDLESS] });
  let ids: number[] = [];
  await until('both jobs run', () => {
    ids = toolProcesses(daemon.pid!).map((p) => p.pid);
    return ids.length === 2 && searching(ids) && ids.some(spins);
  });
  daemon.kill('SIGKILL');
  try {
    await until('all are gone', () => aliveInGroups(ids).length === 0);
  } finally {
    for (const id of ids) killGroup(id);
  }
}, 15_000);

test('[TL3] a write that is killed in the middle leaves the old file or the new one, never a mixture', async () => {
  const size = 12 << 20;
  const contents = { old: 'o'.repeat(size), new: 'n'.repeat(size) };
  const target = join(at.ws, 'target');
  /** Changes with the first thing that a write does in the folder or to the file. */
  const look = (): string => [at.ws, target].map((p) => fs.statSync(p, { bigint: true }).ctimeNs).join();
  const outcomes: string[] = [];
  for (let round = 0; round < 4; round++) {
    // A warm process, so that the kill meets the writing and not the start.
    await start('list_dir', {}).result;
    fs.writeFileSync(target, contents.old);
    const before = look();
    const job = start('write_file', { path: 'target', content: contents.new });
    const end = Date.now() + 5_000;
    while (look() === before && Date.now() < end) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, round * 2));
    await job.kill();
    const now = fs.readFileSync(target, 'utf8');
    outcomes.push(now === contents.old ? 'old' : now === contents.new ? 'new' : `mixture of ${now.length} bytes`);
    if (job.results.length > 0) expect(outcomes.at(-1)).toBe('new');
  }
  expect(outcomes.filter((o) => o.startsWith('mixture'))).toEqual([]);
}, 20_000);
