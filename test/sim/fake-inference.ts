import type { Clock, Inference, InferenceEvents, InferenceRequest, RequestedCall } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import type { Random } from './random.ts';

/**
 * A model that misbehaves by the seed: floods, stalls, fails before or after its first word, asks for nonsense, and sometimes
 * goes on talking after it was cancelled, which no answer may show.
 */
export interface FakeInference extends Inference {
  /** Streams that were started and neither ended nor were cancelled. */
  readonly live: Map<string, { sessionId: string; turnId: string }>;
  /** What the engine said, by turn and step; the log's text must be a beginning of it. */
  readonly said: Map<string, string>;
}

export const fakeInference = (clock: Clock, random: Random): FakeInference => {
  const live: FakeInference['live'] = new Map();
  const said = new Map<string, string>();
  let runs = 0;

  const stream = (request: InferenceRequest, on: InferenceEvents) => {
    const key = `${request.turnId}/${request.step}`;
    const run = `${key}#${++runs}`;
    const r = random.fork();
    live.set(run, request);
    let cancelled = false;
    let paused = false;
    const rude = r.chance(0.05);
    const plan = r.weighted({
      answer: 10,
      calls: 8,
      flood: 2,
      stall: 1,
      stallMid: 1,
      failEarly: 2,
      failMid: 1,
      garbage: 1,
      silentEnd: 1,
    });
    const words = plan === 'flood' ? r.int(50, 200) : plan === 'silentEnd' ? 0 : r.int(0, 8);
    let left = words;
    let spoke = false;

    const end = (fn: () => void): void => {
      live.delete(run);
      fn();
    };
    const later = (fn: () => void, ms: number): void => {
      clock.setTimeout(() => {
        if (cancelled && (!rude || paused)) return;
        if (paused) return later(fn, 5);
        fn();
      }, ms);
    };
    const speak = (): void => {
      if (left === 0) return conclude();
      left--;
      const word = ` w${words - left}.${request.step}${r.chance(0.05) ? '😀' : ''}`;
      if (!cancelled) said.set(key, (spoke ? (said.get(key) ?? '') : '') + word);
      spoke = true;
      if (r.chance(0.1)) on.thinking('hm');
      on.text(word);
      if (plan === 'failMid' && left < words / 2) {
        return later(() => end(() => on.fail(new OptaError('lmx-ws-closed', 'closed in mid-answer'))), 1);
      }
      if (plan === 'stallMid' && left < words / 2) return;
      if (plan === 'flood') speak();
      else later(speak, r.int(0, 20));
    };
    const conclude = (): void => {
      const usage = r.chance(0.7) ? { promptTokens: r.int(1, 99), completionTokens: words } : undefined;
      const calls = plan === 'calls' ? callsOf(r) : plan === 'garbage' ? garbageOf(r) : [];
      const finishReason = calls.length > 0 ? 'tool_calls' : 'stop';
      later(() => end(() => on.end({ finishReason, calls, ...(usage ? { usage } : {}) })), r.int(0, 3));
    };

    if (plan === 'failEarly') {
      const code = r.pick(['lmx-connection-refused', 'lmx-busy', 'no-model-loaded', 'lmx-untrusted'] as const);
      const facts = r.chance(0.3) ? { retryAfterMs: r.int(1, 50) } : {};
      later(() => end(() => on.fail(new OptaError(code, 'failed before the first word', facts))), r.int(0, 10));
    } else if (plan !== 'stall') {
      later(
        () => {
          on.accepted({ model: 'sim-model', provider: 'sim' });
          later(speak, r.int(0, 30));
        },
        r.int(0, 10),
      );
    }
    return {
      cancel: () => {
        cancelled = true;
        live.delete(run);
      },
      pause: () => {
        paused = true;
      },
      resume: () => {
        paused = false;
      },
    };
  };
  return { stream, live, said };
};

const callsOf = (r: Random): RequestedCall[] =>
  Array.from({ length: r.int(1, 3) }, (_, i) => ({
    id: r.chance(0.1) ? 'same' : `c${i}-${r.int(0, 999)}`,
    name: r.pick(['read', 'read', 'write', 'write', 'exec', 'ask']),
    args: JSON.stringify({ path: `f${i}` }),
  }));

const garbageOf = (r: Random): RequestedCall[] => [
  { id: '', name: r.pick(['read', 'nothing-like-it']), args: r.pick(['{', '', '[]', '{"path":7}']) },
  ...(r.chance(0.5) ? callsOf(r) : []),
];
