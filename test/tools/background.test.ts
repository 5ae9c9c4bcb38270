import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Processes, ProcessHandle } from '../../src/actors/ports.ts';
import { identityOf } from '../../src/process-identity.ts';
import { createProcesses } from '../../src/tools/background.ts';
import { groupMembers, killGroup } from '../../src/tools/process-group.ts';
import { aliveInGroups, clock, processes, recordingLog, type Site, site, until } from './support.ts';

let at: Site;
let log: ReturnType<typeof recordingLog>;
let port: Processes;
const started: Job[] = [];
const strangers: ChildProcess[] = [];
let count = 0;
let keptDir: string;
/** Of the kind that may outlive its daemon ([BG7]), which is to behave as the other does. */
let kept = false;

beforeEach(() => {
  at = site();
  log = recordingLog();
  keptDir = fs.mkdtempSync(join(tmpdir(), 'opta-kept-'));
  port = createProcesses({ clock, log, identityOf, kept: { keptDir, adopts: true, adoptWithinMs: 60_000 } });
});
afterEach(async () => {
  for (const job of started.splice(0)) {
    job.handle.drop();
    await until('nothing of it is left', () => groupMembers(job.pid ?? null, job.mark).length === 0);
  }
  for (const stranger of strangers.splice(0)) stranger.kill('SIGKILL');
  await until('its folder is gone', () => fs.readdirSync(keptDir).length === 0);
  fs.rmSync(keptDir, { recursive: true });
  at.remove();
});

interface Job {
  handle: ProcessHandle;
  processId: string;
  mark: string;
  pid: number | undefined;
  identity: string | null;
  out: { stdout: string; stderr: string };
  pieces: number;
  end: { exitCode: number | null; signal: string | null } | null;
  failure: string | null;
}

/** `go` is said as soon as there is a process, unless the test wants to say it. */
const start = (argv: string[], more: { cwd?: string; held?: boolean } = {}): Job => {
  const processId = `test${process.pid}x${++count}`;
  const job: Job = {
    handle: null as never,
    processId,
    mark: `OPTA_BACKGROUND=${processId}`,
    pid: undefined,
    identity: null,
    out: { stdout: '', stderr: '' },
    pieces: 0,
    end: null,
    failure: null,
  };
  job.handle = port.start(
    { processId, argv, cwd: more.cwd ?? at.ws, kept },
    {
      spawned: ({ pid, identity }) => {
        Object.assign(job, { pid, identity });
        if (!more.held) job.handle.go();
      },
      output: (stream, text) => {
        job.out[stream] += text;
        job.pieces += 1;
      },
      gone: (end) => {
        expect(job.end).toBeNull();
        job.end = end;
      },
      failed: (error) => {
        job.failure = `${error.code}: ${error.message}`;
      },
    },
  );
  started.push(job);
  return job;
};
const sh = (script: string, more: Parameters<typeof start>[1] = {}): Job => start(['sh', '-c', script], more);
const ended = (job: Job, ms = 8_000) => until('it ends', () => job.end !== null || job.failure !== null, ms);
const family = (job: Job): number[] => groupMembers(job.pid ?? null, job.mark);
const commandOf = (pid: number | undefined): string => processes().find((p) => p.pid === pid)?.command ?? '';

describe.each([
  ['that ends with its daemon', false],
  ['that may outlive its daemon', true],
])('a process %s', (_, keeps) => {
  beforeEach(() => {
    kept = keeps;
  });

  test('[BG1] what it writes and how it ends is told, once, whatever it is', async () => {
    const jobs = [sh('echo out; echo err >&2'), sh('exit 3'), sh('kill -9 $$'), start(['true'])];
    for (const job of jobs) await ended(job);
    expect(jobs.map((j) => j.end)).toEqual([
      { exitCode: 0, signal: null },
      { exitCode: 3, signal: null },
      { exitCode: null, signal: 'SIGKILL' },
      { exitCode: 0, signal: null },
    ]);
    expect(jobs[0]?.out).toEqual({ stdout: 'out\n', stderr: 'err\n' });
    for (const job of jobs) expect(family(job)).toEqual([]);
  });

  test('[BG1] it gets its arguments, its folder and the environment without our secrets, and no input', async () => {
    Object.assign(process.env, { OPTA_API_KEY: 'top-secret', OPTA_SOME_TOKEN: 'top-secret', PLAIN: 'kept' });
    try {
      const job = start(['sh', '-c', 'cat; pwd; echo "$0|$1|$2"; env', 'name', '', 'a b']);
      await ended(job);
      const lines = job.out.stdout.split('\n');
      expect(lines.slice(0, 2)).toEqual([at.ws, 'name||a b']);
      expect(lines).toContain('PLAIN=kept');
      expect(lines).toContain(job.mark);
      expect(job.out.stdout).not.toContain('top-secret');
    } finally {
      for (const name of ['OPTA_API_KEY', 'OPTA_SOME_TOKEN', 'PLAIN']) delete process.env[name];
    }
  });

  test('[BG2] the process is there and proves itself before the command begins, and becomes it with the same pid', async () => {
    const mark = join(at.ws, 'began');
    const job = start(['sh', '-c', `echo > ${mark}; sleep 30; :`], { held: true });
    await until('it is there', () => job.pid !== undefined);
    expect(job.identity).toBe(identityOf(job.pid as number));
    expect(job.identity).not.toBeNull();
    expect(fs.existsSync(join(keptDir, job.processId, 'alive'))).toBe(keeps);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(fs.existsSync(mark)).toBe(false);
    job.handle.go();
    await until('it begins', () => fs.existsSync(mark));
    expect(commandOf(job.pid)).toContain(mark);
    expect(identityOf(job.pid as number)).toBe(job.identity);
  });

  test('[BG2] one that is dropped before its word never begins', async () => {
    const mark = join(at.ws, 'began');
    const job = sh(`echo > ${mark}`, { held: true });
    await until('it is there', () => job.pid !== undefined);
    job.handle.drop();
    await until('it is gone', () => family(job).length === 0);
    expect(fs.existsSync(mark)).toBe(false);
    const early = sh(`echo > ${mark}`);
    early.handle.drop();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([fs.existsSync(mark), early.pid, early.end]).toEqual([false, undefined, null]);
  });

  test('what cannot be started is a failure and nothing else', async () => {
    const missing = [
      start(['/no/such/binary']),
      start(['nosuchprogram']),
      start(['true'], { cwd: join(at.ws, 'none') }),
    ];
    const bad = start(['true', 'a\0b']);
    for (const job of [...missing, bad]) await ended(job);
    expect(missing.slice(0, 2).map((j) => j.failure)).toEqual([
      'background-failed: Background process failed to start: /no/such/binary',
      'background-failed: Background process failed to start: nosuchprogram',
    ]);
    expect(missing[2]?.failure).toContain(`failed to start: ${join(at.ws, 'none')}`);
    expect(bad.failure).toMatch(/^background-failed: .*null bytes/);
    expect(missing.map((j) => j.end)).toEqual([null, null, null]);
  });

  test('[BG3] a kill ends the whole tree: children in the group, and one that left it with setsid and was given away', async () => {
    const job = sh('sleep 100 & setsid sleep 101 & (setsid sh -c "sleep 102 & sleep 103" &) ; sh -c "sleep 104; :"; :');
    const sleepers = () => processes().filter((p) => /^sleep 10[0-4]/.test(p.command) && family(job).includes(p.pid));
    await until('all sleep', () => sleepers().length === 5);
    const groups = new Set(sleepers().map((p) => p.group));
    expect(groups.size).toBeGreaterThan(2);
    job.handle.signal('SIGTERM');
    await ended(job);
    expect(job.end).toEqual({ exitCode: null, signal: 'SIGTERM' });
    expect(family(job)).toEqual([]);
    expect(aliveInGroups([...groups])).toEqual([]);
  });

  test('[BG3] the end of the process is the end of what it left behind, which held its pipes open', async () => {
    const job = sh('sleep 100 & setsid sleep 101 & echo bye; exit 2');
    await ended(job);
    expect(job.end).toEqual({ exitCode: 2, signal: null });
    expect(job.out.stdout).toBe('bye\n');
    expect(family(job)).toEqual([]);
  });

  test('[BG3] a signal that is ignored is followed by one that is not', async () => {
    const job = sh('trap "" TERM INT; echo up; while :; do sleep 0.05; done');
    await until('it is up', () => job.out.stdout === 'up\n');
    job.handle.signal('SIGTERM');
    job.handle.signal('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(job.end).toBeNull();
    job.handle.signal('SIGKILL');
    await ended(job);
    expect(job.end).toEqual({ exitCode: null, signal: 'SIGKILL' });
    expect(family(job)).toEqual([]);
  });

  test('[BG4] text is whole wherever the pipes cut it, and a process that is not read waits', async () => {
    const euro = sh(`i=0; while [ $i -lt 300 ]; do printf '\\342'; printf '\\202\\254'; i=$((i+1)); done`);
    await ended(euro);
    expect(euro.out.stdout).toBe('€'.repeat(300));
    // 50 MB, against a reader that stops after the first piece.
    const flood = sh('head -c 50000000 /dev/zero | tr "\\0" x; echo done >&2');
    await until('it writes', () => flood.pieces > 0);
    flood.handle.pause();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = flood.out.stdout.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(flood.out.stdout.length).toBe(before);
    expect(before).toBeLessThan(50_000_000);
    expect(family(flood).length).toBeGreaterThan(0);
    flood.handle.resume();
    await ended(flood, 20_000);
    expect(flood.out.stdout.length).toBe(50_000_000);
    expect(flood.out.stderr).toBe('done\n');
  }, 30_000);

  test('[BG3] what an earlier daemon left is ended by its mark, in its group and out of it; a stranger with the pid is not', async () => {
    const left = sh('setsid sleep 100 & sleep 101; :');
    await until('it runs', () => family(left).length >= 4);
    // The next daemon: it has the record, and no handle.
    const next = createProcesses({ clock, log, identityOf });
    const record = { processId: left.processId, pid: left.pid as number, identity: left.identity };

    const stranger = spawn('sleep', ['102'], { detached: true, stdio: 'ignore' });
    strangers.push(stranger);
    const pid = stranger.pid as number;
    for (const identity of ['another-boot:1', null]) next.reap({ processId: 'nobody', pid, identity });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(aliveInGroups([pid])).toHaveLength(1);

    next.reap(record);
    await until('nothing of it is left', () => family(left).length === 0);
    next.reap(record);
    // Its very identity is proof enough, for a process that lost the mark.
    next.reap({ processId: 'nobody', pid, identity: identityOf(pid) });
    await until('the leader is ended', () => aliveInGroups([pid]).length === 0);
    expect(log.lines).toEqual([]);
  });
});

test('[BG3] a daemon that is killed takes the group of each of its processes with it', async () => {
  const fixture = new URL('./background.fixture.ts', import.meta.url);
  const daemon = spawn(process.execPath, ['--import', 'tsx', fixture.pathname, at.ws], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  daemon.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until('both run', () => /^(\d+) (\d+)\n/.test(said));
  const pids = said.trim().split(' ').map(Number);
  try {
    // One has begun and ignores what it can; the other still waits for its word.
    await until('the first has begun', () => commandOf(pids[0]).includes('sleep 100'));
    daemon.kill('SIGKILL');
    await until('both groups are gone', () => aliveInGroups(pids).length === 0);
    expect(fs.existsSync(join(at.ws, 'began'))).toBe(false);
  } finally {
    for (const pid of pids) killGroup(pid);
  }
}, 15_000);
