import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Accepted, Replay, type Step } from './recording.ts';
import { FAILURES } from './recording-failures.ts';
import { aWorld, leave, type Scenario, type World } from './recording-world.ts';

/**
 * Recordings of the daemon that existing clients were written against, played mechanically against ours. They are kept beside
 * the repository and not in it; where they are absent, the tests of the two planes carry the same promises in our own words.
 */
const FOLDER =
  process.env.OPTA_TEST_RECORDINGS ?? fileURLToPath(new URL('../../../shared/contract/transcripts', import.meta.url));
const present = existsSync(FOLDER);
const absent = present ? '' : ' (skipped: no recordings beside the repository)';
// The reporter counts what was skipped; the reason is told here.
if (!present) process.stderr.write(`recordings.test.ts${absent}\n`);

const AFTER_THE_TURN = ['activeTurnId: is missing'];
const permission = (asking: number, after: number): Scenario => ({
  accepted: [
    { step: asking, why: 'messages-live', status: 200, only: ['messages: had 0 items, has 2'] },
    { step: after, why: 'updated-after-end', status: 200, only: AFTER_THE_TURN },
  ],
  script: ({ workspace }) => ({ trimmed: true, session: { metadata: { workspace } } }),
});

/** What deliberately differs, by recording and step. Everything else must agree. */
const SCENARIOS: { [recording: string]: Scenario } = {
  '01-health-auth': {},
  '02-metrics-and-health-stream': {},
  '03-create-session': {
    accepted: [
      { step: 13, why: 'no-second-snapshot', status: 200 },
      { step: 15, why: 'issue-shapes', status: 400 },
      { step: 17, why: 'issue-shapes', status: 400 },
      { step: 23, why: 'framework-errors', status: 400 },
      { step: 26, why: 'empty-json', status: 201 },
      { step: 29, why: 'plain-text-body', status: 415 },
      { step: 32, why: 'framework-errors', status: 415 },
      ...[35, 37, 39, 43, 45].map((step): Accepted => ({ step, why: 'bad-session-id', status: 400 })),
    ],
  },
  '04-get-session': {
    accepted: [
      { step: 5, why: 'bad-session-id', status: 400 },
      { step: 9, why: 'added-routes', status: 200 },
      { step: 11, why: 'added-routes', status: 200 },
      { step: 19, why: 'added-routes', status: 200, only: ['after the end: session.updated'] },
    ],
  },
  '05-submit-turn-http': {
    accepted: [9, 11, 13, 15, 17].map((step) => ({ step, why: 'issue-shapes', status: 400 })),
  },
  '06-ws-text-turn': {},
  '07-ws-thinking': {
    accepted: [{ step: 20, why: 'updated-after-end', status: 200, only: AFTER_THE_TURN }],
    script: () => ({ trimmed: true }),
  },
  '08-permission-allow-ws': permission(17, 34),
  '08-permission-deny-ws': permission(17, 32),
  '12-cancel-active': { accepted: [{ step: 25, why: 'messages-kept', status: 200 }] },
  '13-cancel-empty-while-active': {},
  '15-two-writers-order': {},
  '16-replay-reconnect': {},
  '19-state-conflict': {
    accepted: [
      { step: 9, why: 'issue-shapes', status: 400 },
      { step: 14, why: 'ws-last-seen' },
    ],
  },
  '20-background': {
    accepted: [
      ...[23, 25, 27, 29, 45].map((step): Accepted => ({ step, why: 'issue-shapes', status: 400 })),
      { step: 31, why: 'kill-waits', status: 200 },
      { step: 33, why: 'ends-with-leader', status: 200 },
      { step: 35, why: 'ends-with-leader', status: 200 },
      // The place of the one that had ended is free, so it takes one more to be too many.
      { step: 75, why: 'ends-with-leader', status: 201 },
      { step: 77, why: 'background-limit', status: 429 },
    ],
    script: ({ daemon }) => ({
      same: [['$TMP', daemon.home]],
      before: {
        79: async (ours) => {
          for (const id of ['-kk2lc1C', 'lUdy_pUO', '4MVNC_YH', 'AFTbPubG']) {
            const answer = await daemon.post(`/v3/background/${ours(id)}/kill`, { signal: 'SIGKILL' });
            expect(answer).toMatchObject({ status: 200, body: { killed: true } });
          }
        },
      },
    }),
  },
  '22-lmx-routes': {},
  '23-lmx-routes-failing': {
    alone: true,
    script: ({ lmx, admin }) => ({
      same: [['127.0.0.1:18080', `127.0.0.1:${lmx.port}`]],
      before: {
        0: () => {
          admin.fail = { status: 403, body: SCRIPTED };
        },
        2: () => {
          admin.fail = { status: 503, body: SCRIPTED };
        },
        5: () => lmx.close(),
      },
    }),
  },
  '36-bridge-and-device': {
    accepted: [
      ...[5, 9, 11].map((step): Accepted => ({ step, why: 'issue-shapes', status: 400 })),
      { step: 15, why: 'no-auth-callback', status: 404 },
    ],
  },
};
const ALL = { ...SCENARIOS, ...FAILURES };
const SCRIPTED = { error: { message: 'scripted failure', code: 'scripted' } };

describe(`recordings${absent}`, () => {
  let shared: World | undefined;
  beforeAll(async () => {
    if (present) shared = await aWorld();
  });
  afterAll(async () => {
    if (shared) await leave(shared);
  });

  const play = async (name: string, scenario: Scenario, world: World): Promise<void> => {
    const { steps } = JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as { steps: Step[] };
    const played = scenario.steps?.(steps) ?? steps;
    const { accepted = [] } = scenario;
    const compared = await new Replay(world.daemon, played, { accepted, ...scenario.script?.(world) }).run();
    const exchanges = steps.filter((s) => s.dir === 'c2s' && s.channel !== 'ws').length;
    const sockets = steps.filter((s) => s.event === 'connect').length;
    expect(compared).toBe(exchanges + sockets);
    const saw = steps.map((s) => (s.note as { lmxSaw?: unknown[] } | undefined)?.lmxSaw).find(Boolean);
    // A read may be asked again, once what was cached is too old. What a chat sent has a note of another kind.
    if (saw?.every((line) => typeof line === 'string')) expect([...new Set(world.admin.lines())]).toEqual(saw);
  };

  for (const [name, scenario] of Object.entries(ALL)) {
    const named = scenario.accepted?.length ?? 0;
    test.skipIf(!present)(`recording ${name} holds, apart from ${named} named steps${absent}`, async () => {
      if (!scenario.alone) return play(name, scenario, shared as World);
      const world = await aWorld();
      try {
        await play(name, scenario, world);
      } finally {
        await leave(world);
      }
    });
  }

  // 33 and 34 are notes of ports and files, which files.test.ts has; 35 is one of the log.
  test.skipIf(!present)(`recording 35-daemon-log holds in the members of its lines${absent}`, async () => {
    const { steps } = JSON.parse(readFileSync(join(FOLDER, '35-daemon-log.json'), 'utf8')) as { steps: Step[] };
    const recorded = ((steps[0] as Step).note as string[]).map(
      (line) => JSON.parse(line) as { [field: string]: unknown },
    );
    const { daemon } = shared as World;
    const ours = readFileSync(join(daemon.home, 'daemon', 'daemon.log'), 'utf8')
      .trimEnd()
      .split('\n');
    const lines = ours.map((line) => JSON.parse(line) as { [field: string]: unknown });
    const always = Object.keys(recorded[0] as object).filter((field) => recorded.every((line) => field in line));
    expect(always).toEqual(['ts', 'level', 'daemonId', 'msg', 'data']);
    for (const line of lines) {
      for (const field of always.filter((name) => name !== 'data'))
        expect(line[field], field).toEqual(expect.any(String));
      expect(line.data ?? {}).toEqual(expect.any(Object));
    }
    const started = lines.find((line) => line.msg === 'daemon ready');
    expect(started).toMatchObject({ level: 'info', data: { port: daemon.port, pid: daemon.pid } });
  });
});
