import type {
  Clock,
  Inference,
  InferenceEvents,
  InferenceRequest,
  InferenceStream,
  RequestedCall,
} from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import type { Usage } from '../protocol/turn.ts';

/**
 * One thing that an engine does, `afterMs` after the one before it. `accepted` comes by itself before the first text, thinking,
 * call or end; `calls` are gathered and leave with the end. A script that runs out ends properly.
 */
export type ScriptStep = { afterMs?: number } & (
  | { accepted: true }
  | { text: string }
  | { thinking: string }
  | { call: { name: string; args: string | object; id?: string } }
  | { end: { finishReason?: 'stop' | 'tool_calls' | 'length'; usage?: Usage } }
  | { fail: OptaError }
  /** Something that is no answer, as a wire would report it. */
  | { garbage: true }
  /** Nothing more, ever. */
  | { stall: true }
);

/** May be a generator: steps are asked for one at a time, so a long answer costs no memory. */
export type Script = Iterable<ScriptStep>;

export interface ScriptedConfig {
  clock: Clock;
  /** A script that throws is a failed request. */
  script(request: InferenceRequest): Script;
  model?: string;
  provider?: string;
}

/** For tests and simulation: everything happens on the given clock, so that a seed replays exactly. */
export interface Scripted extends Inference {
  /** Every request seen, in order. */
  readonly requests: InferenceRequest[];
  readonly cancelled: InferenceRequest[];
  /** Streams that have neither ended nor been cancelled. */
  active(): number;
  /** Ends every stream with `shutting-down`, and refuses new ones. */
  close(): void;
}

export const createScripted = (config: ScriptedConfig): Scripted => {
  const requests: InferenceRequest[] = [];
  const cancelled: InferenceRequest[] = [];
  const player = createPlayer(config, (request) => cancelled.push(request));
  return {
    ...player,
    requests,
    cancelled,
    stream: (request, on) => {
      requests.push(request);
      return player.stream(request, on);
    },
  };
};

const shuttingDown = () => new OptaError('shutting-down', 'The inference engine is closed.');

/** The engine without a memory: what it was asked is not kept. */
export const createPlayer = (
  config: ScriptedConfig,
  onCancel: (request: InferenceRequest) => void = () => undefined,
): Inference & { active(): number; close(): void } => {
  const live = new Map<InferenceStream, InferenceEvents>();
  let closed = false;
  const shut = (stream: InferenceStream) =>
    config.clock.soon(() => {
      const on = live.get(stream);
      if (!on) return;
      stream.cancel();
      on.fail(shuttingDown());
    });
  return {
    active: () => live.size,
    close: () => {
      closed = true;
      for (const stream of live.keys()) shut(stream);
    },
    stream: (request, on) => {
      const script = closed ? () => [{ fail: shuttingDown() }] : config.script;
      const playing = playScript({ ...config, script }, request, on, () => live.delete(stream));
      const stream: InferenceStream = {
        ...playing,
        cancel: () => {
          playing.cancel();
          if (live.delete(stream)) onCancel(request);
        },
      };
      live.set(stream, on);
      return stream;
    },
  };
};

/** Plays one script. `over` is called once, just before the last event; not after a cancel. */
export const playScript = (
  config: ScriptedConfig,
  request: InferenceRequest,
  on: InferenceEvents,
  over: () => void = () => undefined,
): InferenceStream => {
  const { clock } = config;
  const calls: RequestedCall[] = [];
  let steps: Iterator<ScriptStep> | null = null;
  let due: ScriptStep | null = null;
  let timer: unknown;
  let accepted = false;
  let ended = false;
  let paused = false;
  let held = false;

  const accept = () => {
    if (accepted) return;
    accepted = true;
    on.accepted({ model: request.model || (config.model ?? 'scripted'), provider: config.provider ?? 'scripted' });
  };
  const last = (give: () => void) => {
    ended = true;
    over();
    give();
  };
  const apply = (step: ScriptStep) => {
    if ('stall' in step) return;
    if ('fail' in step) return last(() => on.fail(step.fail));
    if ('garbage' in step)
      return last(() => on.fail(new OptaError('lmx-protocol', 'The engine sent something that is no answer.')));
    accept();
    if (ended) return;
    if ('end' in step) {
      const { finishReason = calls.length > 0 ? 'tool_calls' : 'stop', usage } = step.end;
      return last(() => on.end({ finishReason, calls, ...(usage ? { usage } : {}) }));
    }
    if ('text' in step) on.text(step.text);
    else if ('thinking' in step) on.thinking(step.thinking);
    else if ('call' in step) {
      const { id = `call_${request.turnId}_${request.step}_${calls.length}`, name, args } = step.call;
      calls.push({ id, name, args: typeof args === 'string' ? args : JSON.stringify(args) });
    }
    if (!ended) schedule();
  };
  const run = () => {
    if (ended) return;
    if (paused) {
      held = true;
      return;
    }
    const step = due;
    if (step) apply(step);
  };
  const schedule = () => {
    try {
      steps ??= config.script(request)[Symbol.iterator]();
      const next = steps.next();
      due = next.done ? { end: {} } : next.value;
    } catch (cause) {
      due = { fail: toOptaError(cause) };
    }
    const afterMs = due.afterMs ?? 0;
    if (afterMs > 0) timer = clock.setTimeout(run, afterMs);
    else clock.soon(run);
  };
  schedule();

  return {
    cancel: () => {
      ended = true;
      clock.clearTimeout(timer);
    },
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
      if (!held) return;
      held = false;
      clock.soon(run);
    },
  };
};
