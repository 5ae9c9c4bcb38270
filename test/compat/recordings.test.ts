import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';
import { type Accepted, Replay, type Step } from './recording.ts';

/**
 * Recordings of the daemon that existing clients were written against, played mechanically against ours. They are kept beside
 * the repository and not in it; where they are absent, the tests of the two planes carry the same promises in our own words.
 */
const FOLDER = fileURLToPath(new URL('../../../shared/contract/transcripts', import.meta.url));
const present = existsSync(FOLDER);
const absent = present ? '' : ' (skipped: no recordings beside the repository)';
// The reporter counts what was skipped; the reason is told here.
if (!present) process.stderr.write(`recordings.test.ts${absent}\n`);

/** What deliberately differs, by recording and step. Everything else must agree. */
const SCENARIOS: [number: string, accepted: Accepted[]][] = [
  ['01', []],
  ['02', [4, 7, 11].map((step) => ({ step, why: 'health-stream', status: 404 }))],
  [
    '03',
    [
      { step: 13, why: 'no-second-snapshot', status: 200 },
      { step: 15, why: 'issue-shapes', status: 400 },
      { step: 17, why: 'issue-shapes', status: 400 },
      { step: 23, why: 'framework-errors', status: 400 },
      { step: 26, why: 'empty-json', status: 201 },
      { step: 29, why: 'plain-text-body', status: 415 },
      { step: 32, why: 'framework-errors', status: 415 },
      ...[35, 37, 39, 43, 45].map((step): Accepted => ({ step, why: 'bad-session-id', status: 400 })),
    ],
  ],
  ['05', [9, 11, 13, 15, 17].map((step) => ({ step, why: 'issue-shapes', status: 400 }))],
  ['06', []],
  ['12', [{ step: 25, why: 'messages-kept', status: 200 }]],
  ['13', []],
  ['15', []],
  ['16', []],
];

describe(`recordings${absent}`, () => {
  let lmx: FakeLmx;
  let daemon: RealDaemon;
  beforeAll(async () => {
    if (!present) return;
    lmx = await startFakeLmx();
    daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
  });
  afterAll(async () => {
    await daemon?.stop();
    await lmx?.close();
  });

  for (const [number, accepted] of SCENARIOS) {
    test.skipIf(!present)(`recording ${number} holds, apart from ${accepted.length} named steps`, async () => {
      const file = readdirSync(FOLDER).find((name) => name.startsWith(`${number}-`));
      expect(file, `a recording ${number}`).toBeDefined();
      const { steps } = JSON.parse(readFileSync(join(FOLDER, file as string), 'utf8')) as { steps: Step[] };
      const compared = await new Replay(daemon, steps, accepted).run();
      const exchanges = steps.filter((s) => s.dir === 'c2s' && s.channel !== 'ws').length;
      const sockets = steps.filter((s) => s.event === 'connect').length;
      expect(compared).toBe(exchanges + sockets);
    });
  }
});
