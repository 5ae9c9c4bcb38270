import type { Clock, ToolResult, ToolRun, Tools } from '../../src/actors/ports.ts';
import type { Random } from './random.ts';

/** Tools that take their time, hang, die slowly or never, and report when they were started without the right to. */
export interface FakeTools extends Tools {
  readonly alive: Map<string, ToolRun>;
  /** Started, not finished, and not told to die. */
  readonly running: Map<string, ToolRun>;
}

/** A write has changed a file, and a restore has taken back all that it was given. */
const answerOf = (run: ToolRun, isError: boolean): ToolResult => {
  if (run.name === 'restore_files') {
    const { changes } = run.args as unknown as { changes: { path: string }[] };
    return { result: JSON.stringify({ restored: changes.map(({ path }) => path), kept: [] }), isError: false };
  }
  const result = { result: `${run.name} result`, isError };
  if (run.name !== 'write' || isError) return result;
  return {
    ...result,
    changes: [{ path: `${run.callId}.txt`, before: null, after: { blob: 'x', bytes: 1, mode: 0o644 } }],
  };
};

const CLASSES = { read: 'read', write: 'write', exec: 'exec', ask: 'question' } as const;

export const fakeTools = (
  clock: Clock,
  random: Random,
  onStart: (run: ToolRun, alive: Map<string, ToolRun>) => void,
): FakeTools => {
  const alive = new Map<string, ToolRun>();
  const running = new Map<string, ToolRun>();
  return {
    alive,
    running,
    offered: () => [],
    plan(name, argsText) {
      let args: unknown;
      try {
        args = JSON.parse(argsText);
      } catch {
        return 'The arguments are not JSON.';
      }
      if (!(name in CLASSES)) return `There is no tool ${name}.`;
      if (typeof (args as { path?: unknown })?.path !== 'string') return 'path must be text.';
      return {
        toolClass: CLASSES[name as keyof typeof CLASSES],
        summary: `${name} it`,
        args: args as { path: string },
        ...(name === 'ask' ? { question: { text: 'which?' } } : {}),
      };
    },
    start(run, done) {
      const key = `${run.turnId}/${run.callId}`;
      const r = random.fork();
      onStart(run, alive);
      alive.set(key, run);
      running.set(key, run);
      let over = false;
      const how = run.name === 'restore_files' ? 'ok' : r.weighted({ ok: 12, fails: 2, hangs: 1 });
      if (how !== 'hangs') {
        clock.setTimeout(
          () => {
            if (over) return;
            over = true;
            alive.delete(key);
            running.delete(key);
            done(answerOf(run, how === 'fails'));
          },
          r.int(0, 40),
        );
      }
      return {
        kill(dead) {
          if (over) return clock.soon(dead);
          over = true;
          running.delete(key);
          if (r.chance(0.1)) {
            // Dies, but nobody is told: the deadline must go on by itself.
            clock.setTimeout(() => alive.delete(key), 1);
            return;
          }
          clock.setTimeout(
            () => {
              alive.delete(key);
              dead();
            },
            r.int(0, 30),
          );
        },
      };
    },
  };
};
