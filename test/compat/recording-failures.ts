import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Frame } from './daemon.ts';
import type { Edit, Step } from './recording.ts';
import type { Scenario } from './recording-world.ts';

/** The recordings of what goes wrong: refused and cancelled tools, an inference server that fails, a daemon that dies. */

const without =
  (...gone: number[]) =>
  (steps: Step[]): Step[] =>
    steps.filter(({ i }) => !gone.includes(i));
/** The named steps trade places, so that they come in this order. */
const inOrder =
  (...order: number[]) =>
  (steps: Step[]): Step[] => {
    const next = order.map((i) => steps.find((s) => s.i === i) as Step);
    return steps.map((step) => (order.includes(step.i) ? (next.shift() as Step) : step));
  };
const frame =
  (i: number, change: (was: Frame) => Frame) =>
  (steps: Step[]): Step[] =>
    steps.map((step) => (step.i === i ? { ...step, frame: change(step.frame as Frame) } : step));
const more =
  (after: number, ...frames: Frame[]) =>
  (steps: Step[]): Step[] =>
    steps.flatMap((step) =>
      step.i === after ? [step, ...frames.map((f, n) => ({ ...step, i: after + (n + 1) / 100, frame: f }))] : [step],
    );
const closeWith =
  (i: number, code: number) =>
  (steps: Step[]): Step[] =>
    steps.map((step) => (step.i === i ? { ...step, code } : step));
const inTurn =
  (...all: ((steps: Step[]) => Step[])[]) =>
  (steps: Step[]): Step[] =>
    all.reduce((now, one) => one(now), steps);

/** Replaces text wherever it stands in a recording, within strings of JSON too. */
const rewritten =
  (...pairs: [theirs: string, ours: string][]) =>
  (steps: Step[]): Step[] => {
    const inner = (text: string): string => JSON.stringify(text).slice(1, -1);
    const all = pairs.flatMap(([theirs, ours]) => [[inner(theirs), inner(ours)] as const, [theirs, ours] as const]);
    return JSON.parse(all.reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), JSON.stringify(steps)));
  };

const inWorkspace = ({ workspace }: { workspace: string }) => ({
  trimmed: true,
  session: { metadata: { workspace } },
});
const edit = (why: Edit['why'], ...all: ((steps: Step[]) => Step[])[]): Edit => ({ why, steps: inTurn(...all) });

const refusedCall = (turnId: string, toolName: string): Frame => ({
  event: 'permission.resolved',
  payload: { turnId, requestId: '', toolName, decision: 'deny' },
});
const NO_TURN = 'activeTurnId: is missing';

/** What is asked after a step, and declined by the person of the recording. */
const declined =
  (after: number, sessionId: string, toolName: string) =>
  (steps: Step[]): Step[] =>
    steps.flatMap((step) => {
      if (step.i !== after) return [step];
      const requestId = `perm_${toolName}`;
      const request = { event: 'permission.request', payload: { turnId: '', requestId, toolName, args: {} } };
      const said = { type: 'permission.resolve', sessionId, requestId, decision: 'deny', decidedBy: 'a' };
      const ack = { type: 'ack', action: 'permission.resolve', result: { ok: true, conflict: false } };
      const frames = [request, said, ack, refusedCall('', toolName)] as Frame[];
      const dirs = ['s2c', 'c2s', 's2c', 's2c'] as const;
      return [
        step,
        ...frames.map((f, n) => ({
          ...step,
          i: Number((after + (n + 1) / 1000).toFixed(3)),
          dir: dirs[n] ?? 's2c',
          frame: f,
        })),
      ];
    });

export const FAILURES: { [recording: string]: Scenario } = {
  '10-dangerous-override-still-asks': {
    accepted: [{ step: 15, why: 'cancel-releases', status: 200, only: [NO_TURN, 'messages: had 0 items, has 3'] }],
    // A read is not asked about here, and dangerous asks about nothing (`reads-free`, `dangerous-allows`): played with a write.
    steps: rewritten(
      [
        '"name":"read_file","args":{"path":"$CWD/hello.txt"}',
        '"name":"write_file","args":{"path":"hello.txt","content":"hi"}',
      ],
      [
        '"toolName":"read_file","args":{"path":"$CWD/hello.txt"}',
        '"toolName":"write_file","args":{"path":"hello.txt","content":"hi"}',
      ],
      ['"overrides":{"dangerous":true}', '"overrides":{}'],
    ),
    script: (world) => ({
      ...inWorkspace(world),
      edits: [
        edit(
          'cancel-releases',
          frame(17, (ack) => ({ ...ack, result: { ok: false, conflict: true } })),
        ),
      ],
    }),
  },
  '10b-tools-autonomy-level-4': {
    // Arguments that break off end the turn (`torn-arguments`): played without that call.
    steps: (steps) => without(22)(rewritten([',{"name":"read_file","args":"{bad json"}', ''])(steps)),
    accepted: [
      { step: 41, why: 'no-supervisor', status: 200 },
      { step: 43, why: 'one-call-at-a-time', status: 200 },
    ],
    script: (world) => ({
      ...inWorkspace(world),
      same: [['$CWD', world.workspace]],
      before: { 0: () => writeFileSync(join(world.workspace, 'edit-me.txt'), 'alpha\n') },
      edits: [
        edit(
          'levels-noted',
          frame(8, (f) => ({
            ...f,
            payload: { ...f.payload, toolName: 'edit_file', args: { path: '', old_text: '', new_text: '' } },
          })),
        ),
        edit('levels-noted', without(14, 20), declined(19, 'lvl4', 'run_command')),
        edit('questions-asked', without(15, 17), declined(19.004, 'lvl4', 'ask_user')),
        edit('unknown-tool', without(16, 21), more(19.008, refusedCall('', 'no_such_tool'))),
        edit('one-call-at-a-time', inOrder(12, 18, 8, 9, 10, 11, 13, 19)),
        edit('no-supervisor', without(23, 24, 25, 26, 27, 31, 32, 33, 34, 35, 36, 37)),
      ],
    }),
  },
  '11-mode-do-auto': {
    script: (world) => ({
      ...inWorkspace(world),
      same: [['$CWD', world.workspace]],
      before: { 0: () => writeFileSync(join(world.workspace, 'hello.txt'), 'line one\nline two\n') },
      edits: [
        edit('reads-free', without(8, 9, 10, 11)),
        edit('one-call-at-a-time', inOrder(20, 23, 12, 13, 14, 15, 21, 24, 16, 17, 18, 19, 22, 25)),
      ],
    }),
  },
  '20b-background-bad-command-kills-daemon': {
    accepted: [
      {
        step: 6,
        why: 'survives-bad-command',
        status: 200,
        only: ['status: was undefined, is 200', 'content-type differs', '(top): was undefined, is object'],
      },
    ],
    // The socket outlives the command: it is closed by its client, after the daemon was found well.
    script: () => ({ edits: [edit('survives-bad-command', inOrder(5, 6, 4), closeWith(4, 1005))] }),
  },
  '25-not-found-and-oversize': {
    accepted: [
      { step: 9, why: 'legacy-chat', status: 400 },
      { step: 12, why: 'framework-errors', status: 413 },
      { step: 14, why: 'content-bound', status: 413 },
      { step: 16, why: 'content-bound', status: 200 },
      { step: 19, why: 'framework-errors', status: 413 },
      { step: 21, why: 'framework-errors', status: 414 },
      { step: 23, why: 'framework-errors', status: 400 },
    ],
    steps: (steps) => steps.map((s) => ({ ...s, ...grown(s.body) })),
  },
  '26-lmx-down-turn': {
    alone: true,
    accepted: [{ step: 8, why: 'start-first', status: 200 }],
    script: ({ lmx }) => ({
      before: { 0: () => lmx.close() },
      edits: [
        edit(
          'start-first',
          more(5, { event: 'turn.start', payload: { turnId: '', writerId: '', clientId: '', mode: 'chat' } }),
        ),
      ],
    }),
  },
  '27-lmx-down-after-preflight': {
    alone: true,
    // Nothing was sent to a model, and that is what it would mark.
    script: ({ lmx }) => ({ before: { 11: () => lmx.close() }, edits: [edit('progress-phases', without(16))] }),
  },
  '28-lmx-dies-mid-stream-once': {
    accepted: [{ step: 25, why: 'never-spliced', status: 200 }],
    script: () => ({
      trimmed: true,
      edits: [
        edit(
          'never-spliced',
          without(15, 16, 17, 18, 19, 20, 21, 23),
          frame(22, (f) => ({ ...f, event: 'turn.error', payload: { turnId: '', message: '', code: '' } })),
        ),
      ],
    }),
  },
  '29-lmx-dies-mid-stream-always': {
    accepted: [{ step: 17, why: 'messages-kept', status: 200, only: [NO_TURN, 'messages: had 0 items, has 2'] }],
    script: () => ({ trimmed: true }),
  },
  '31-kill9-mid-turn-restart': {
    alone: true,
    accepted: [
      { step: 46, why: 'messages-live', status: 200, only: ['messages: had 2 items, has 3'] },
      { step: 52, why: 'turns-survive', status: 200 },
      { step: 56, why: 'turns-survive', status: 200 },
      { step: 63, why: 'turns-survive', status: 200 },
    ],
    script: ({ daemon }) => ({
      before: {
        47: async () => expect(await daemon.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' }),
        50: () => daemon.restart(),
      },
    }),
  },
  '31b-kill9-background-child': {
    alone: true,
    accepted: [
      { step: 4, why: 'background-dies', status: 200 },
      { step: 6, why: 'background-dies', status: 200 },
    ],
    script: ({ daemon }) => ({
      before: {
        0: async () => void (await daemon.post('/v3/sessions', { sessionId: 'k9bg' })),
        2: async () => void (await daemon.end('SIGKILL')),
        3: () => daemon.restart(),
      },
    }),
  },
  '32-sigterm-mid-turn': {
    alone: true,
    accepted: [
      { step: 31, why: 'turns-survive', status: 200 },
      { step: 33, why: 'turns-survive', status: 200 },
    ],
    script: ({ daemon }) => ({
      before: {
        27: async () => expect(await daemon.end('SIGTERM')).toEqual({ code: 0, signal: null }),
        30: () => daemon.restart(),
      },
      edits: [edit('stop-told', closeWith(27, 1001))],
    }),
  },
};

/** A body of which the recording has kept the length and the beginning. */
const grown = (body: unknown): { body?: string } => {
  const [, bytes, begin] = /^<(\d+) bytes> (.*)…$/.exec(String(body)) ?? [];
  if (bytes === undefined || begin === undefined) return {};
  const [head, tail] = begin.startsWith('{"title') ? ['{"title":"', '"}'] : [HEAD_OF_A_TURN, '","mode":"chat"}'];
  return { body: head.padEnd(Number(bytes) - tail.length, 'x') + tail };
};
const HEAD_OF_A_TURN = '{"clientId":"client-a","writerId":"writer-a","content":"';
