import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { groupMembers } from '../../src/tools/process-group.ts';
import { keptProblem } from '../sim/background-checker.ts';
import {
  type Daemon,
  expected,
  hasProcessTable,
  newHome,
  noProcessTable,
  processes,
  startDaemon,
  until,
} from '../support/daemon.ts';
import { checkedLog } from './world.ts';

/** Background processes as people run them: real commands, a real daemon, and the ways in which both die. */
let home: string;
let workspace: string;
const started: Daemon[] = [];

beforeEach(() => {
  home = newHome();
  workspace = mkdtempSync(join(tmpdir(), 'opta-e2e-work-'));
});
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.dispose();
  for (const dir of [home, workspace]) rmSync(dir, { recursive: true, force: true });
});

const daemonHere = async (): Promise<Daemon> => {
  const daemon = await startDaemon({ home });
  started.push(daemon);
  return daemon;
};

interface Told {
  processId: string;
  pid: number;
  cwd: string;
  state: string;
}
const start = async (daemon: Daemon, sessionId: string, command: string, more: object = {}): Promise<Told> =>
  expected(await daemon.post('/v3/background/start', { sessionId, command, ...more }), 201).json.process as Told;
const statusOf = async (daemon: Daemon, p: Told, query = ''): Promise<Told> =>
  expected(await daemon.get(`/v3/background/${p.processId}/status${query}`), 200).json.process as Told;
/** Everything of a process, wherever it went. */
const family = (p: Told): number[] => groupMembers(p.pid, `OPTA_BACKGROUND=${p.processId}`);
const TREE = `sh -c 'sleep 300 & setsid sleep 301 & (setsid sh -c "sleep 302; :" &) ; sleep 303; :'`;
/** Leader, guard, and five below. */
const grown = (p: Told) => until('the tree to have grown', () => family(p).length === 7);
const endOf = (records: readonly LogRecord[], p: Told) =>
  records.flatMap((r) =>
    r.event === 'background.status' && r.payload.process.processId === p.processId && r.payload.reason !== 'started'
      ? [r.payload]
      : [],
  );
const checked = async (daemon: Daemon, sessionId: string, quiet = true): Promise<LogRecord[]> => {
  const { records, violations } = checkedLog(sessionId, await daemon.log(sessionId), quiet);
  expect(violations).toEqual([]);
  return records;
};

describe.skipIf(!hasProcessTable)(`background processes${noProcessTable}`, () => {
  test('[BG1][EV3] what an attached reader sees is what is stored, and the output can be read by pages', async () => {
    const daemon = await daemonHere();
    const sessionId = await daemon.create({ workspace });
    const reader = await daemon.socket(sessionId);
    const p = await start(
      daemon,
      sessionId,
      `sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.02; done; pwd; exit 7'`,
    );
    expect(p).toMatchObject({ cwd: workspace, state: 'running' });
    await reader.record('background.status', (s) => s.reason === 'failed');
    const records = await checked(daemon, sessionId);
    expect(reader.frames).toEqual(await daemon.log(sessionId));
    expect(endOf(records, p)).toMatchObject([{ process: { exitCode: 7, state: 'failed' }, previousState: 'running' }]);

    let [text, cursor, pages] = ['', 0, 0];
    for (let more = true; more; pages += 1) {
      const page = await daemon.get(`/v3/background/${p.processId}/output?afterSeq=${cursor}&limit=2`);
      const { chunks, nextSeq, hasMore } = expected(page, 200).json;
      text += chunks.map((c: { text: string }) => c.text).join('');
      [cursor, more] = [nextSeq, hasMore];
    }
    expect(text).toBe(`${[1, 2, 3, 4, 5].map((i) => `line ${i}\n`).join('')}${workspace}\n`);
    expect(pages).toBeGreaterThan(1);
  });

  test('a command that does not exist is 500, leaves no event, and the daemon lives on', async () => {
    const daemon = await daemonHere();
    const sessionId = await daemon.create();
    const reader = await daemon.socket(sessionId);
    await reader.record('session.snapshot');
    const bad = await daemon.post('/v3/background/start', { sessionId, command: '/no/such/binary' });
    expect([bad.status, bad.json.error, bad.json.code]).toEqual([
      500,
      'Background process failed to start: /no/such/binary',
      'background-failed',
    ]);
    expect((await daemon.get('/v3/health')).json.status).toBe('ok');
    expect((await start(daemon, sessionId, 'true')).state).toBe('running');
    await reader.record('background.status', (s) => s.reason === 'completed');
    expect(reader.records.map((r) => r.event)).toEqual(['session.snapshot', 'background.status', 'background.status']);
    expect(daemon.alive).toBe(true);
  });

  test('[BG3][CX1] a kill is answered when nothing of the tree is alive, and leaves the others alone', async () => {
    const daemon = await daemonHere();
    const sessionId = await daemon.create({ workspace });
    const [p, other] = [await start(daemon, sessionId, TREE), await start(daemon, sessionId, 'sleep 304')];
    await grown(p);
    const killed = expected(await daemon.post(`/v3/background/${p.processId}/kill`, {}), 200).json;
    expect(family(p)).toEqual([]);
    expect(killed).toMatchObject({ killed: true, process: { state: 'killed', exitCode: null } });
    expect((await daemon.post(`/v3/background/${p.processId}/kill`, {})).json.killed).toBe(false);
    expect((await statusOf(daemon, other)).state).toBe('running');
    expect(endOf(await checked(daemon, sessionId, false), p)).toMatchObject([{ reason: 'killed', signal: 'SIGTERM' }]);
  });

  test('[BG3] a delete of the session ends its processes before it is answered', async () => {
    const daemon = await daemonHere();
    const sessionId = await daemon.create({ workspace });
    const p = await start(daemon, sessionId, TREE);
    await grown(p);
    expect((await daemon.call('DELETE', `/v3/sessions/${sessionId}`)).status).toBe(200);
    expect(family(p)).toEqual([]);
    expect(endOf(await checked(daemon, sessionId), p)).toMatchObject([{ reason: 'killed' }]);
  });

  test('[BG3] a clean stop ends them, deaf ones too, and the log says so', async () => {
    const first = await daemonHere();
    const sessionId = await first.create({ workspace });
    const tree = await start(first, sessionId, TREE);
    const deaf = await start(first, sessionId, `sh -c 'trap "" TERM; while :; do sleep 0.1; done'`);
    await grown(tree);
    const reader = await first.socket(sessionId);
    expect((await first.stop()).code).toBe(0);
    expect([...family(tree), ...family(deaf)]).toEqual([]);
    await reader.closed;
    for (const p of [tree, deaf]) expect(endOf(reader.records, p)).toMatchObject([{ reason: 'interrupted' }]);
    const second = await daemonHere();
    await checked(second, sessionId);
    expect((await statusOf(second, tree, `?sessionId=${sessionId}`)).state).toBe('interrupted');
  });

  test.each([
    ['its guard ends all of it, what left its group too', false],
    ['and of the guard: all of it lives on until the next daemon ends it', true],
  ])('[BG3][CR1] kill -9 of the daemon: %s, and the next one says interrupted', async (_, guardToo) => {
    const first = await daemonHere();
    const sessionId = await first.create({ workspace });
    const p = await start(first, sessionId, TREE);
    await grown(p);
    const all = family(p);
    const guard = processes().find((one) => one.group === p.pid && one.command.includes('OPTA_BACKGROUND=$'));
    expect(guard).toBeDefined();
    if (guardToo) process.kill(guard?.pid as number, 'SIGKILL');
    await first.kill9();
    if (guardToo) expect(family(p).length).toBe(all.length - 1);
    else await until('all of it to end', () => family(p).length === 0, 5_000);
    const second = await daemonHere();
    await until('the rest to end', () => family(p).length === 0, 3_000);
    expect(endOf(await checked(second, sessionId), p)).toMatchObject([
      { reason: 'interrupted', process: { state: 'interrupted', exitCode: null, endedAt: expect.any(String) } },
    ]);
    expect((await second.get('/v3/background')).json.processes).toMatchObject([{ processId: p.processId }]);
  });

  test('[BG4] 400 MB at once, with a reader that takes nothing: the log has both ends of it, and the daemon answers', async () => {
    const daemon = await daemonHere();
    const sessionId = await daemon.create();
    const slow = await daemon.socket(sessionId);
    await slow.record('session.snapshot');
    slow.pause();
    const p = await start(daemon, sessionId, 'head -c 399999996 /dev/zero | tr "\\\\0" x; echo end', {
      shell: true,
    });
    const memory: number[] = [];
    await until(
      'the flood to end',
      async () => {
        memory.push(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) / 1024);
        expect((await daemon.get('/v3/health')).status).toBe(200);
        return (await statusOf(daemon, p)).state !== 'running';
      },
      60_000,
    );
    const { checker, violations } = checkedLog(sessionId, await daemon.log(sessionId));
    expect(violations).toEqual([]);
    const seen = checker.background.seen.get(p.processId);
    expect(seen?.kept.stdout?.head.length).toBeLessThanOrEqual(LIMITS.backgroundOutputCharsMax);
    expect(seen?.kept.stdout?.tail.length).toBeLessThanOrEqual(LIMITS.backgroundTailCharsMax);
    expect(seen && keptProblem(seen, 'stdout', `${'x'.repeat(399_999_996)}end\n`)).toBeNull();
    slow.resume();
    await slow.record('background.status', (s) => s.reason !== 'started', 30_000);
    expect(slow.frames).toEqual(await daemon.log(sessionId));
    // Far below what was written, which had to be held nowhere.
    expect(Math.max(...memory) - (memory[0] ?? 0)).toBeLessThan(200);
  }, 120_000);
});
