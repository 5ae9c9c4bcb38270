import { rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { adapters, transportEnv } from '../support/adapters.ts';
import { type Daemon, newHome, startDaemon, until } from '../support/daemon.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { Crowd, hashOf } from '../torture/crowd.ts';
import type { ReaderKind } from '../torture/crowd-readers.ts';
import { checkedLog, endsOf, say } from './world.ts';

/**
 * A thousand readers, in a process of their own: on one session, through `kill -9` in mid-stream; and on a thousand sessions. Some
 * are slow, some read nothing until the end, some are cut again and again and resume by cursor, some come late. Each compares every
 * event with what the first of them was sent, and that is compared with the log.
 */
const READERS = 1_000;
/** A flood is gathered into few large events, a steady source is not. */
const FLOODED = { tokens: 60, size: 40 };
const PACED = { tokens: 15, tps: 60 };
const kindOf = (i: number): ReaderKind => {
  if (i % 10 === 3) return 'slow';
  if (i % 10 === 5) return 'fickle';
  if (i % 20 === 7) return 'stuck';
  return i % 20 === 17 ? 'late' : 'steady';
};

let lmx: FakeLmx;
beforeAll(async () => {
  lmx = await startFakeLmx();
});
afterAll(() => lmx?.close());

describe.each(adapters())('over %s', (adapter) => {
  let home: string;
  let daemon: Daemon;
  let crowd: Crowd;
  const start = (): Promise<Daemon> =>
    startDaemon({ home, lmxPort: lmx.port, env: { ...transportEnv(adapter), OPTA_CHECK: '0' } });
  beforeAll(async () => {
    home = newHome();
    daemon = await start();
  });
  afterEach(() => crowd?.end());
  afterAll(async () => {
    await daemon?.dispose();
    rmSync(home, { recursive: true, force: true });
  });
  const quiet = (sessionId: string): Promise<void> =>
    until(
      `${sessionId} to be quiet`,
      async () => {
        const { json } = await daemon.get(`/v3/sessions/${sessionId}`);
        return json.activeTurnId === undefined && json.queuedTurns === 0;
      },
      60_000,
      50,
    );

  test('[EV2, EV3, CR1] 1,000 readers of one session, flooded, through kill -9: not one byte lost or changed', async () => {
    crowd = new Crowd();
    await crowd.ready();
    const sessionId = await daemon.create();
    await crowd.attach(
      daemon,
      Array.from({ length: READERS }, (_, i) => ({ sessionId, kind: kindOf(i) })),
    );
    const flood = { tokens: 800, size: 200 };
    await daemon.submit(sessionId, { content: say(flood) });
    const cut = await daemon.submit(sessionId, { content: say({ tokens: 10_000, size: 60, tps: 300 }) });
    const queued = await daemon.submit(sessionId, { content: say(flood, 'after') });
    const before = (await daemon.get(`/v3/sessions/${sessionId}`)).json.seq as number;
    await crowd.seen(READERS * (before + 20));

    crowd.lost();
    await daemon.kill9();
    daemon = await start();
    await crowd.back(daemon);
    await quiet(sessionId);
    const stored = await daemon.log(sessionId);
    const report = await crowd.finish({ [sessionId]: stored.length });

    expect(report.violations).toEqual([]);
    expect(report.hashes).toEqual({ [sessionId]: hashOf(stored) });
    expect(report.frames).toBeGreaterThanOrEqual(READERS * stored.length);
    expect(report.cuts).toBeGreaterThan(READERS / 10);
    expect(report.notices).toEqual({});
    const { records, violations } = checkedLog(sessionId, stored);
    expect(violations).toEqual([]);
    expect(endsOf(records, cut.turnId)).toMatchObject([{ payload: { outcome: 'interrupted', partial: true } }]);
    expect(endsOf(records, queued.turnId)).toMatchObject([{ payload: { outcome: 'done' } }]);
  }, 90_000);

  test('[EV2, EV3, SV1] 1,000 sessions flooded at once, one reader each: each has its own log and nothing else', async () => {
    crowd = new Crowd();
    await crowd.ready();
    const ids = await Promise.all(Array.from({ length: READERS }, () => daemon.create()));
    await crowd.attach(
      daemon,
      ids.map((sessionId, i) => ({ sessionId, kind: kindOf(i) })),
    );
    await Promise.all(ids.map((id, i) => daemon.submit(id, { content: say(i % 2 ? FLOODED : PACED, `session ${i}`) })));
    await until(
      'no turn to run',
      async () => {
        const { activeTurnCount } = (await daemon.get('/v3/health')).json.runtime;
        return activeTurnCount === 0;
      },
      60_000,
      100,
    );
    const logs = new Map<string, string[]>();
    for (let i = 0; i < ids.length; i += 50) {
      await Promise.all(ids.slice(i, i + 50).map(async (id) => logs.set(id, await daemon.log(id))));
    }
    const report = await crowd.finish(Object.fromEntries([...logs].map(([id, stored]) => [id, stored.length])));

    expect(report.violations).toEqual([]);
    expect(report.notices).toEqual({});
    const wrong = [...logs].filter(([id, stored]) => report.hashes[id] !== hashOf(stored));
    expect(wrong.map(([id]) => id)).toEqual([]);
    expect(new Set(ids).size).toBe(READERS);
    for (const [id, stored] of [...logs].slice(0, 20)) expect(checkedLog(id, stored).violations).toEqual([]);
    expect([...logs].every(([, stored]) => stored.some((text) => text.includes('"event":"turn.done"')))).toBe(true);
  }, 90_000);
});
