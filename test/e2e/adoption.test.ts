import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { optaPaths } from '../../src/config/paths.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { groupMembers, signalOne } from '../../src/tools/process-group.ts';
import {
  type Daemon,
  type DaemonOptions,
  expected,
  hasProcessTable,
  newHome,
  noProcessTable,
  startDaemon,
  until,
} from '../support/daemon.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { hasSandbox, noSandboxHere } from '../tools/sandbox.support.ts';
import { checkedLog, say } from './world.ts';

/** [BG7] `background.onRestart: adopt`: processes that outlive their daemon, however it ends, and the next one that goes on with them. */
let home: string;
let workspace: string;
const started: Daemon[] = [];
const begun: Told[] = [];

beforeEach(() => {
  home = newHome();
  workspace = mkdtempSync(join(tmpdir(), 'opta-e2e-adopt-'));
});
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.dispose();
  for (const p of begun.splice(0)) for (const pid of family(p)) signalOne(pid, 'SIGKILL');
  for (const dir of [home, workspace]) rmSync(dir, { recursive: true, force: true });
});

const ADOPT = { onRestart: 'adopt', adoptWithin: 60_000 };
const daemonHere = async (background: object = ADOPT, more: DaemonOptions = {}): Promise<Daemon> => {
  const daemon = await startDaemon({ home, config: { background }, ...more });
  started.push(daemon);
  return daemon;
};

interface Told {
  processId: string;
  pid: number;
  state: string;
  exitCode: number | null;
}
const start = async (daemon: Daemon, sessionId: string, script: string, more: object = {}): Promise<Told> => {
  const body = { sessionId, command: script, shell: true, ...more };
  const p = expected(await daemon.post('/v3/background/start', body), 201).json.process as Told;
  begun.push(p);
  return p;
};
const statusOf = async (daemon: Daemon, sessionId: string, p: Told): Promise<Told> =>
  expected(await daemon.get(`/v3/background/${p.processId}/status?sessionId=${sessionId}`), 200).json.process as Told;
const over = async (daemon: Daemon, sessionId: string, p: Told): Promise<Told> => {
  await until('it to end', async () => (await statusOf(daemon, sessionId, p)).state !== 'running', 15_000);
  return statusOf(daemon, sessionId, p);
};
const family = (p: Told): number[] => groupMembers(null, `OPTA_BACKGROUND=${p.processId}`);
const checked = async (daemon: Daemon, sessionId: string): Promise<LogRecord[]> => {
  const { records, violations } = checkedLog(sessionId, await daemon.log(sessionId));
  expect(violations).toEqual([]);
  return records;
};
const written = (records: LogRecord[], p: Told, stream = 'stdout'): string =>
  records
    .flatMap((r) =>
      r.event === 'background.output' && r.payload.processId === p.processId && r.payload.stream === stream
        ? [r.payload.text]
        : [],
    )
    .join('');
const dataDir = (): string => optaPaths({ OPTA_HOME: home }).dataDir;
const folders = (): string[] => {
  const dir = join(dataDir(), 'background');
  return existsSync(dir) ? readdirSync(dir) : [];
};
const lines = (n: number): string => Array.from({ length: n }, (_, i) => `line ${i} é€😀\n`).join('');
const COUNT = (n: number, pause: string) =>
  `i=0; while [ $i -lt ${n} ]; do echo "line $i é€😀"; i=$((i+1)); sleep ${pause}; done; echo last >&2; exit 3`;

describe.skipIf(!hasProcessTable)(`processes that outlive their daemon${noProcessTable}`, () => {
  test.each([
    ['a clean stop', (daemon: Daemon) => daemon.stop()],
    ['kill -9', (daemon: Daemon) => daemon.kill9()],
  ])(
    '[BG7] %s: it runs on with its pid, every line is there once, and its end is its own',
    async (_, end) => {
      let daemon = await daemonHere();
      const sessionId = await daemon.create({ workspace });
      const p = await start(daemon, sessionId, COUNT(60, '0.1'));
      for (let i = 0; i < 2; i++) {
        await sleep(1_200);
        await end(daemon);
        expect(family(p)).toContain(p.pid);
        daemon = await daemonHere();
        expect(await statusOf(daemon, sessionId, p)).toMatchObject({ state: 'running', pid: p.pid });
      }
      expect(await over(daemon, sessionId, p)).toMatchObject({ state: 'failed', exitCode: 3 });
      const records = await checked(daemon, sessionId);
      expect(written(records, p)).toBe(lines(60));
      expect(written(records, p, 'stderr')).toBe('last\n');
      expect([family(p), folders()]).toEqual([[], []]);
    },
    60_000,
  );

  test('[BG7] what ended while nobody was there has its exit code, and what it wrote, above what a pipe takes, waited', async () => {
    const first = await daemonHere();
    const sessionId = await first.create({ workspace });
    const go = join(workspace, 'go');
    const wait = `while [ ! -e ${go} ]; do sleep 0.05; done;`;
    const good = await start(first, sessionId, `${wait} echo bye; exit 0`);
    const bad = await start(first, sessionId, `${wait} sleep 100 & ${wait} exit 9`);
    const shot = await start(first, sessionId, `${wait} kill -TERM $$`);
    const flood = await start(first, sessionId, `${wait} head -c 1000000 /dev/zero | tr "\\0" x; echo; echo end`);
    await first.kill9();
    writeFileSync(go, '');
    await until('two to end', () => ![good, bad].some((p) => family(p).includes(p.pid)), 5_000);
    await sleep(300);
    expect(family(flood)).toContain(flood.pid);
    const second = await daemonHere();
    expect(await over(second, sessionId, good)).toMatchObject({ state: 'completed', exitCode: 0 });
    expect(await over(second, sessionId, bad)).toMatchObject({ state: 'failed', exitCode: 9 });
    expect(await over(second, sessionId, shot)).toMatchObject({ state: 'killed', exitCode: null });
    expect(await over(second, sessionId, flood)).toMatchObject({ state: 'completed', exitCode: 0 });
    const records = await checked(second, sessionId);
    expect(written(records, good)).toBe('bye\n');
    expect(written(records, flood)).toBe(`${'x'.repeat(1_000_000)}\nend\n`);
    expect([good, bad, shot, flood].flatMap(family)).toEqual([]);
    expect(folders()).toEqual([]);
  }, 60_000);

  test('[BG3][BG7] one that was taken over ends as any other: killed with its whole tree, at its time, with its session', async () => {
    const first = await daemonHere();
    const sessionId = await first.create({ workspace });
    const tree = await start(first, sessionId, 'sleep 300 & setsid sleep 301 & trap "" TERM; sleep 302; sleep 303');
    const timed = await start(first, sessionId, 'sleep 304', { timeoutMs: 4_000 });
    const asked = await start(first, sessionId, 'trap "echo asked; exit 0" INT; echo up; while :; do sleep 0.05; done');
    const other = await start(first, sessionId, 'sleep 305');
    await sleep(500);
    await first.stop();
    const second = await daemonHere();
    const interrupt = await second.post(`/v3/background/${asked.processId}/kill`, { signal: 'SIGINT' });
    expect(expected(interrupt, 200).json).toMatchObject({ killed: true, process: { state: 'killed' } });
    const killed = await second.post(`/v3/background/${tree.processId}/kill`, {});
    expect(expected(killed, 200).json).toMatchObject({ killed: true, process: { state: 'killed' } });
    expect([...family(tree), ...family(asked)]).toEqual([]);
    const late = await over(second, sessionId, timed);
    expect(late).toMatchObject({ state: 'timeout' });
    const { startedAt, endedAt } = late as unknown as { startedAt: string; endedAt: string };
    // From its own start on, not from when it was taken over.
    expect(Date.parse(endedAt) - Date.parse(startedAt)).toBeLessThan(7_000);
    expect((await second.call('DELETE', `/v3/sessions/${sessionId}`)).status).toBe(200);
    expect([...family(timed), ...family(other)]).toEqual([]);
    const records = await checked(second, sessionId);
    expect(written(records, asked)).toBe('up\nasked\n');
    expect(folders()).toEqual([]);
  }, 60_000);

  test('[BG7] a daemon that is not to take it over ends it; so does nobody coming in time; the log says interrupted', async () => {
    const first = await daemonHere({ ...ADOPT, adoptWithin: 1_000 });
    const sessionId = await first.create({ workspace });
    const left = await start(first, sessionId, 'setsid sleep 300 & sleep 301; :');
    await until('it to grow', () => family(left).length >= 5);
    await first.kill9();
    await until('its guard to end it', () => family(left).length === 0, 10_000);
    const second = await daemonHere();
    expect(await over(second, sessionId, left)).toMatchObject({ state: 'interrupted', exitCode: null });
    const unwanted = await start(second, sessionId, 'setsid sleep 302 & sleep 303; :');
    await until('it to grow', () => family(unwanted).length >= 5);
    await second.stop();
    expect(family(unwanted).length).toBeGreaterThan(0);
    const third = await daemonHere({ onRestart: 'kill' });
    expect(await over(third, sessionId, unwanted)).toMatchObject({ state: 'interrupted', exitCode: null });
    await until('all of it to end', () => family(unwanted).length === 0, 5_000);
    await checked(third, sessionId);
    await until('its folder to go', () => folders().length === 0);
  }, 60_000);

  test.skipIf(!hasSandbox)(
    `[BG6][BG7] what a model began in the sandbox is taken over in it${noSandboxHere}`,
    async () => {
      const lmx = await startFakeLmx();
      const ends = { lmxPort: lmx.port };
      try {
        let daemon = await daemonHere(ADOPT, ends);
        const sessionId = await daemon.create({ workspace });
        const call = async (name: string, args: object): Promise<string> => {
          const socket = await daemon.socket(sessionId);
          const content = say({ tools: [{ name, args }], text: 'ok' });
          const { turnId } = await daemon.submit(sessionId, { content, overrides: { auto: true } });
          await socket.terminal(turnId);
          const body = lmx.requests.at(-1)?.body as { messages: { role: string; content: string }[] };
          return body.messages.findLast((m) => m.role === 'tool')?.content ?? '';
        };
        const script = 'trap "echo asked; exit 0" TERM; echo "up $(ls ~ | wc -l)"; while :; do sleep 0.05; done';
        const id = /^Started (\S+) /.exec(await call('bg_start', { command: script }))?.[1] ?? '';
        const p = { processId: id, pid: 0, state: '', exitCode: null };
        begun.push(p);
        await sleep(300);
        await daemon.kill9();
        daemon = await daemonHere(ADOPT, ends);
        expect(await call('bg_status', {})).toMatch(new RegExp(`^${id}: running, `));
        expect(await call('bg_output', { id })).toContain('up 0\n');
        expect(await call('bg_kill', { id })).toMatch(/killed/);
        expect(written(await checked(daemon, sessionId), p)).toBe('up 0\nasked\n');
        expect([family(p), folders()]).toEqual([[], []]);
      } finally {
        await lmx.close();
      }
    },
    60_000,
  );

  test('[BG7] begun by a daemon that keeps none, it is not taken over by one that would', async () => {
    const first = await daemonHere({ onRestart: 'kill' });
    const sessionId = await first.create({ workspace });
    const p = await start(first, sessionId, 'sleep 300');
    await first.kill9();
    const second = await daemonHere();
    expect(await over(second, sessionId, p)).toMatchObject({ state: 'interrupted', exitCode: null });
    expect(family(p)).toEqual([]);
    await checked(second, sessionId);
  }, 30_000);

  test('[BG7] a folder of nobody’s does no harm, and what runs for it ends', async () => {
    const first = await daemonHere();
    const sessionId = await first.create({ workspace });
    const p = await start(first, sessionId, 'sleep 300');
    expect(folders()).toEqual([p.processId]);
    await first.kill9();
    // The log of another machine, say: this process is in none.
    for (const name of ['data.mdb', 'lock.mdb']) rmSync(join(dataDir(), name));
    const second = await daemonHere();
    await until('it to end', () => family(p).length === 0, 5_000);
    await until('its folder to go', () => folders().length === 0);
    expect((await second.get('/v3/health')).json.status).toBe('ok');
  }, 30_000);
});
