import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adapters, transportEnv } from '../support/adapters.ts';
import { loadVectors, type Vector } from './format.ts';
import { type Lie, lyingDaemon } from './lying-proxy.ts';
import { play } from './play.ts';
import { FOLDER, lineOf, runVectors } from './runner.ts';
import { type OpenSubject, ownSubject } from './subject.ts';
import { callHttp, headersFor } from './wire.ts';

/** The vectors of docs/conformance against the real daemon; then against daemons that break one rule each, which must not pass. */
const VECTORS = loadVectors(FOLDER);
const of = (...rules: string[]): Vector[] => VECTORS.filter((v) => v.rules.some((rule) => rules.includes(rule)));

describe.each(adapters())('over %s', (adapter) => {
  let subject: OpenSubject;
  beforeAll(async () => {
    subject = await ownSubject(transportEnv(adapter));
  });
  afterAll(() => subject?.close());

  test('[WP1, WP2, WP3, WP4, WP5, WP6, WP7, TQ5, CX1, EV2, EV3, PM2, AC1, AC2] every vector holds, and none is left out', async () => {
    const health = await callHttp(subject.place(), {
      method: 'GET',
      path: '/v3/health',
      headers: headersFor(subject.place()),
    });
    expect(health.body).toMatchObject({ transport: { adapter } });
    const outcomes = await runVectors(VECTORS, subject);
    expect(outcomes.filter((o) => o.failure !== null || o.lacks.length > 0).map(lineOf)).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(45);
  }, 180_000);
});

describe('a daemon that breaks a rule is found out', () => {
  let honest: OpenSubject;
  beforeAll(async () => {
    honest = await ownSubject();
  });
  afterAll(() => honest?.close());

  const failures = async (lie: Lie, vectors: readonly Vector[]): Promise<string[]> => {
    const liar = await lyingDaemon(honest.place, lie);
    try {
      const subject = { has: ['model'] as const, place: () => liar.place, workspace: honest.workspace };
      const outcomes = await runVectors(
        vectors.filter((v) => v.needs.every((need) => need === 'model')),
        subject,
      );
      expect(outcomes.length).toBeGreaterThan(1);
      return outcomes.filter((o) => o.failure !== null).map(lineOf);
    } finally {
      await liar.close();
    }
  };
  const without =
    (...names: string[]): NonNullable<Lie['command']> =>
    (command) => {
      for (const name of names) delete command[name];
    };

  test('[EV3, TQ5, WP2] through a proxy that changes nothing, all of it holds', async () => {
    expect(await failures({}, of('EV3', 'TQ5', 'WP2'))).toEqual([]);
  }, 60_000);

  test('[TQ5] it forgets idempotency keys', async () => {
    const forgets: Lie = { command: without('idempotencyKey'), header: (name) => name !== 'idempotency-key' };
    expect((await failures(forgets, of('TQ5'))).length).toBeGreaterThan(4);
  }, 60_000);

  test('[TQ5] it forgets them in the header alone', async () => {
    const found = await failures({ header: (name) => name !== 'idempotency-key' }, of('TQ5'));
    expect(found).toEqual([expect.stringContaining('the key in the header')]);
  }, 60_000);

  test('[WP2] it lets everybody wait, whatever they asked for', async () => {
    expect((await failures({ command: without('onBusy') }, of('WP2'))).length).toBeGreaterThan(0);
  }, 60_000);

  test('[WP7] it does not look at lastSeenSeq', async () => {
    expect((await failures({ command: without('lastSeenSeq') }, of('WP7'))).length).toBeGreaterThan(2);
  }, 60_000);

  test('[EV2] it leaves out one event', async () => {
    const found = await failures({ event: (text, seq) => (seq === 3 ? null : text) }, of('EV2'));
    expect(found).toContainEqual(expect.stringContaining('seq 4 came where 3 was to come'));
  }, 60_000);

  test('[EV2] it sends one event twice', async () => {
    let sent = '';
    const twice: Lie = {
      event: (text, seq) => {
        const before = sent;
        sent = text;
        return seq === 3 ? before : text;
      },
    };
    expect(await failures(twice, of('EV2'))).toContainEqual(expect.stringContaining('seq 2 came where 3 was to come'));
  }, 60_000);

  test('[EV3] it writes an event anew, with other bytes and the same meaning', async () => {
    const anew: Lie = { event: (text) => JSON.stringify(JSON.parse(text), null, 1) };
    expect(await failures(anew, of('EV3'))).toContainEqual(expect.stringContaining('has other bytes than the log'));
  }, 60_000);

  test('[AC2] it does not care for roles', async () => {
    const deaf: Lie = { query: (query) => query.delete('role'), command: without('role') };
    expect((await failures(deaf, of('AC2'))).length).toBeGreaterThan(1);
  }, 120_000);

  test('[EV2] a vector that names what is not there fails with the step and what was seen', async () => {
    const wrong: Vector = {
      title: 'wrong',
      rules: [],
      needs: [],
      steps: [{ http: 'GET /v3/sessions/nobody-is-here', status: 200 }],
    };
    await expect(play(wrong, honest)).rejects.toThrow(
      /^step 1 \(http GET .*\): status 404 in place of 200: .*session-not-found/,
    );
  });
});

describe('the command, against a daemon that runs already', () => {
  let running: OpenSubject;
  beforeAll(async () => {
    running = await ownSubject();
  });
  afterAll(() => running?.close());
  const RUNNER = fileURLToPath(new URL('runner.ts', import.meta.url));
  const command = async (...args: string[]): Promise<{ code: unknown; lines: string[] }> => {
    const argv = ['--import', import.meta.resolve('tsx'), RUNNER, ...args];
    const { code, stdout } = await new Promise<{ code: unknown; stdout: string }>((resolve) => {
      execFile(process.execPath, argv, (error, out) => resolve({ code: error?.code ?? 0, stdout: out }));
    });
    return { code, lines: stdout.trimEnd().split('\n') };
  };

  test('[AC1, WP2] plays what it can, says what it left out, and ends with 0, 1 or 2', async () => {
    const { url, token } = running.place();
    const some = await command('--url', url, '--token', token, '--only', 'AC1,WP2');
    expect(some.lines.map((line) => line.slice(0, 9))).toEqual([
      'ok    AC1',
      'ok    AC1',
      'skip  WP2',
      'skip  WP2',
      '2 ok, 0 f',
    ]);
    expect(some.lines[2]).toContain('needs model');
    expect(some.code).toBe(0);
    const locked = await command('--url', url, '--token', 'wrong', '--only', 'AC1');
    expect([locked.code, locked.lines[0]?.slice(0, 5)]).toEqual([1, 'FAIL ']);
    expect((await command('--url', url, '--token', token, '--only', 'WP2')).code).toBe(1);
    expect((await command('--url', url)).code).toBe(2);
  }, 60_000);
});
