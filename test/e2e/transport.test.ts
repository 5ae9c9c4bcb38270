import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errorRow } from '../../src/protocol/errors.ts';
import { type Daemon, newHome, spawnDaemon, startDaemon } from '../support/daemon.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { uwsMissing } from '../transport/world.ts';
import { checkedLog, endsOf, say, textOf } from './world.ts';

/** A daemon's life on each adapter. This is also what other versions of Node are tried with: `npm run nodes`. */
let lmx: FakeLmx;
let home: string;
const started: Daemon[] = [];
beforeAll(async () => {
  lmx = await startFakeLmx();
});
afterAll(() => lmx.close());
beforeEach(() => {
  home = newHome();
});
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.dispose();
  rmSync(home, { recursive: true, force: true });
});

const start = async (transport: string): Promise<Daemon> => {
  const daemon = await startDaemon({ home, lmxPort: lmx.port, env: { OPTA_TRANSPORT: transport } });
  started.push(daemon);
  return daemon;
};

const life = (name: 'uws' | 'ws') => async () => {
  const first = await start(name);
  const { transport } = (await first.get('/v3/health')).json;
  expect(transport).toEqual({ adapter: name, why: expect.stringMatching(name === 'ws' ? /^OPTA_TRANSPORT=ws$/ : /./) });
  const sessionId = await first.create();
  const reader = await first.socket(sessionId);
  const one = await first.submit(sessionId, { content: say({ tokens: 50 }) });
  await reader.terminal(one.turnId);
  expect(await first.log(sessionId)).toEqual(reader.frames);
  expect((await first.stop()).code).toBe(0);
  expect(await reader.closed).toEqual({ code: 1001, reason: 'shutting-down' });
  const log = readFileSync(join(home, 'daemon', 'daemon.log'), 'utf8');
  expect(log).toContain(JSON.stringify(transport.why));

  const second = await start(name);
  const resumed = await second.socket(sessionId, { afterSeq: reader.cursor });
  const two = await second.submit(sessionId, { content: say({ tokens: 100_000, tps: 400 }, 'long') });
  await resumed.record('turn.token', (p) => p.turnId === two.turnId);
  await second.kill9();

  const third = await start(name);
  const stored = await third.log(sessionId);
  const seen = [...reader.frames, ...resumed.frames];
  expect(seen).toEqual(stored.slice(0, seen.length));
  const { records, violations } = checkedLog(sessionId, stored);
  expect(violations).toEqual([]);
  expect(endsOf(records, two.turnId)).toMatchObject([{ payload: { outcome: 'interrupted', partial: true } }]);
  expect(textOf(records, one.turnId).length).toBeGreaterThan(50);
};

describe('a turn, a restart, a kill -9', () => {
  test.skipIf(uwsMissing !== null)(`[CR1] [EV4] over uWebSockets.js ${uwsMissing ?? ''}`, life('uws'), 60_000);
  test('[CR1] [EV4] over ws', life('ws'), 60_000);
});

test('[SV3] a transport that is no transport, or does not load here, ends the start with its reason', async () => {
  for (const wanted of uwsMissing === null ? ['tcp'] : ['tcp', 'uws']) {
    const daemon = spawnDaemon(home, { env: { OPTA_TRANSPORT: wanted } });
    expect((await daemon.exited).code).toBe(errorRow('invalid-request').exit);
    expect(daemon.stderr).toMatch(wanted === 'tcp' ? /OPTA_TRANSPORT.*daemon\.transport/ : 'has no binary for node');
  }
});

test('[SV3] without a word the daemon runs on what loads here and says why', async () => {
  const daemon = await startDaemon({ home, lmxPort: lmx.port, env: { OPTA_TRANSPORT: '' } });
  started.push(daemon);
  const { transport } = (await daemon.get('/v3/health')).json;
  expect(transport).toEqual(
    uwsMissing === null
      ? { adapter: 'uws', why: expect.stringMatching(/native file|loads on/) }
      : { adapter: 'ws', why: expect.stringMatching(/^uWebSockets\.js has no binary for node \d+ on/) },
  );
});
