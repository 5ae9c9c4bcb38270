import { expect } from 'vitest';
import { cli } from '../support/cli.ts';
import type { Frame, RealDaemon } from './daemon.ts';

/** What `opta do --format json` promises on stdout: one line, one object, these members first. */
export interface DoResult {
  result: string;
  tool_calls: number;
  model: string;
  exit_code: number;
  session_id: string;
  turn_id: string;
  status: string;
}

/** A real model on a busy processor takes its time over a long prompt. */
const DO_MS = 80_000;

/** Runs the real CLI against this daemon and returns what stands on stdout, having checked that it is one line of JSON. */
export const runDo = async (
  daemon: RealDaemon,
  ...args: string[]
): Promise<{ code: number | null; body: DoResult }> => {
  const run = await cli(daemon.home, ['do', '--format', 'json', ...args], { deadlineMs: DO_MS });
  expect(run.stdout.split('\n'), run.stderr).toEqual([expect.stringMatching(/^\{.*\}$/), '']);
  return { code: run.code, body: JSON.parse(run.stdout) as DoResult };
};

/** The log of the run must say what stdout said: the answer is what was streamed. */
export const expectLogAgrees = async (daemon: RealDaemon, body: DoResult): Promise<Frame[]> => {
  const { events } = (await daemon.get(`/v3/sessions/${body.session_id}/events`)).body as { events: Frame[] };
  const mine = events.filter((f) => f.payload?.turnId === body.turn_id);
  const text = mine.filter((f) => f.event === 'turn.token').map((f) => f.payload?.text);
  expect(text.join('')).toBe(body.result);
  expect(mine.at(-1)?.event).toBe('turn.done');
  return mine;
};
