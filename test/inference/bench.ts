import type {
  Clock,
  Inference,
  InferenceRequest,
  InferenceStream,
  Log,
  RequestedCall,
} from '../../src/actors/ports.ts';
import { systemClock } from '../../src/inference/clock.ts';
import { createLmx, type LmxConfig } from '../../src/inference/lmx.ts';
import type { OptaError } from '../../src/protocol/errors.ts';
import type { Message } from '../../src/protocol/session.ts';
import type { Usage } from '../../src/protocol/turn.ts';

export const quiet: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

export interface Seen {
  events: string[];
  text: string;
  thinking: string;
  accepted: { model: string; provider: string } | null;
  end: { finishReason: string; calls: RequestedCall[]; usage?: Usage } | null;
  fail: OptaError | null;
  stream: InferenceStream;
  /** Resolves at the last event; rejects after 5 s. */
  over: Promise<void>;
}

export const ask = (content: string, more: Partial<InferenceRequest> = {}): InferenceRequest => ({
  sessionId: 's1',
  turnId: 't1',
  step: 1,
  model: '',
  messages: [{ role: 'user', content }],
  tools: [],
  ...more,
});

/** Streams a request and keeps every event in order. `onEvent` runs inside the callback. */
export const run = (
  engine: Inference,
  request: InferenceRequest,
  onEvent?: (event: string, seen: Seen) => void,
): Seen => {
  let settle: () => void = () => undefined;
  const seen = { events: [], text: '', thinking: '', accepted: null, end: null, fail: null } as unknown as Seen;
  seen.over = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no end in time; seen: ${seen.events.slice(-5).join(' ')}`)), 5_000);
    settle = () => {
      clearTimeout(late);
      resolve();
    };
  });
  seen.over.catch(() => undefined);
  const note = (event: string) => {
    seen.events.push(event);
    onEvent?.(event, seen);
  };
  let inCall = true;
  const outside = () => {
    if (inCall) throw new Error("called back in the caller's own stack");
  };
  seen.stream = engine.stream(request, {
    accepted: (facts) => {
      outside();
      seen.accepted = facts;
      note('accepted');
    },
    text: (s) => {
      outside();
      seen.text += s;
      note(`text:${s}`);
    },
    thinking: (s) => {
      outside();
      seen.thinking += s;
      note(`thinking:${s}`);
    },
    end: (result) => {
      outside();
      seen.end = result;
      note('end');
      settle();
    },
    fail: (error) => {
      outside();
      seen.fail = error;
      note(`fail:${error.code}`);
      settle();
    },
  });
  inCall = false;
  return seen;
};

export const lmxAt = (port: number, more: Partial<LmxConfig> = {}) =>
  createLmx({ host: '127.0.0.1', port, loopbackOnly: true, log: quiet, ...more });

/** Real time for `soon` and sockets; deadlines only when the test says so. */
export interface HandClock extends Clock {
  advance(ms: number): void;
}
export const handClock = (): HandClock => {
  let now = 1_000_000;
  let serial = 0;
  const timers = new Map<number, { at: number; fn: () => void }>();
  return {
    now: () => now,
    soon: systemClock.soon,
    setTimeout: (fn, ms) => {
      timers.set(++serial, { at: now + ms, fn });
      return serial;
    },
    clearTimeout: (id) => void timers.delete(id as number),
    advance: (ms) => {
      const until = now + ms;
      for (;;) {
        const due = [...timers].filter(([, t]) => t.at <= until).sort((a, b) => a[1].at - b[1].at)[0];
        if (!due) break;
        timers.delete(due[0]);
        now = due[1].at;
        due[1].fn();
      }
      now = until;
    },
  };
};

/** Everything on one virtual clock; nothing of it takes time. */
export const simClock = (): Clock & { run(forMs?: number): void } => {
  let now = 0;
  let serial = 0;
  const queue: { at: number; id: number; fn: () => void }[] = [];
  const add = (fn: () => void, ms: number) => {
    queue.push({ at: now + ms, id: ++serial, fn });
    return serial;
  };
  return {
    now: () => now,
    soon: (fn) => void add(fn, 0),
    setTimeout: add,
    clearTimeout: (id) => {
      const i = queue.findIndex((t) => t.id === id);
      if (i >= 0) queue.splice(i, 1);
    },
    run: (forMs = 60_000) => {
      const until = now + forMs;
      for (;;) {
        queue.sort((a, b) => a.at - b.at || a.id - b.id);
        const next = queue[0];
        if (!next || next.at > until) break;
        queue.shift();
        now = next.at;
        next.fn();
      }
      now = until;
    },
  };
};

/** Waits for a fact about the outside, with a deadline. */
export const until = async (what: () => boolean, ms = 3_000): Promise<void> => {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((r) => setTimeout(r, 2));
  }
};

export const toolTalk = (request: string, made: { name: string; args: object; result: string }[]): Message[] => [
  { role: 'user', content: request },
  ...made.flatMap(({ name, args, result }, i): Message[] => [
    {
      role: 'assistant',
      content: '',
      tool_calls: [{ id: `c${i}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }],
    },
    { role: 'tool', tool_call_id: `c${i}`, content: result },
  ]),
];
