import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { BUSY_CALLS, BUSY_FILES, BUSY_STEPS, busyWorkspace, eachFile } from '../support/busy-turn.ts';
import { descendants, hasProcessTable, noProcessTable } from '../support/daemon.ts';
import { leftOver, takeBaseline } from '../torture/baseline.ts';
import { INSPECTED } from '../torture/inspector.ts';
import { checkedLog, openWorld, type World } from './world.ts';

/**
 * A hundred turns at once, each with a repository of its own and two dozen calls in five messages: reads, edits, searches, commands and a
 * background process. How fast it is stands in docs/BENCHMARKS.md (case o); here it is that each is right and nothing is left.
 */
const TURNS = 100;
const root = mkdtempSync(join(tmpdir(), 'opta-e2e-many-'));
let world: World | undefined;
afterAll(async () => {
  await world?.close();
  rmSync(root, { recursive: true, force: true });
});

test.skipIf(!hasProcessTable)(
  `[SV3] [TL2] [TL5] [CX4] a hundred turns at once, of ${BUSY_CALLS} calls each: all are right, and nothing is left${noProcessTable}`,
  async () => {
    world = await openWorld({
      lmx: { reply: () => ({ steps: BUSY_STEPS, text: 'done' }) as never },
      nodeArgs: INSPECTED,
    });
    const { daemon } = world;
    const run = async (i: number): Promise<void> => {
      const workspace = busyWorkspace(join(root, `w${i}`), i);
      const sessionId = await daemon.create({ workspace });
      await daemon.submit(sessionId, { content: 'go', mode: 'do', overrides: { dangerous: true } });
      for (;;) {
        const { activeTurnId } = (await daemon.get(`/v3/sessions/${sessionId}`)).json;
        const { processes } = (await daemon.get(`/v3/background?sessionId=${sessionId}`)).json;
        // What the turn has begun lives a little longer than a quick turn.
        if (activeTurnId === undefined && processes.every((p: { state: string }) => p.state !== 'running')) break;
        await sleep(200);
      }
      const { violations, records } = checkedLog(sessionId, await daemon.log(sessionId));
      expect(violations).toEqual([]);
      expect(records.find((r) => r.event === 'turn.done')?.payload).toMatchObject({ stats: { toolCalls: BUSY_CALLS } });
      const ends = records.flatMap((r) => (r.event === 'tool.end' ? [r.payload] : []));
      expect(ends.filter(({ isError }) => isError)).toEqual([]);
      expect(ends.filter(({ name }) => name === 'run_command').map(({ result }) => result.split('\n')[0])).toEqual([
        String(2 * BUSY_FILES),
        String(BUSY_FILES),
      ]);
      eachFile((n) => expect(readFileSync(join(workspace, `f${n}.txt`), 'utf8')).toBe(`after ${i} ${n}\nw${n}\n`));
    };
    // Once, so that the workers and what is made when it is first needed are there.
    await run(TURNS);
    await sleep(500);
    const processes = descendants(daemon.pid).length;
    const before = await takeBaseline(daemon);
    await Promise.all(Array.from({ length: TURNS }, (_, i) => run(i)));
    const allowed = { sessionsGone: false, keepsMiB: 64 };
    let left: string[] = [];
    for (let i = 0; i < 20; i++) {
      left = [
        ...leftOver(before, await takeBaseline(daemon), allowed),
        ...descendants(daemon.pid)
          .slice(processes)
          .map((p) => `a process: ${p.command.slice(0, 80)}`),
      ];
      if (left.length === 0) break;
      await sleep(500);
    }
    expect(left).toEqual([]);
  },
  300_000,
);
