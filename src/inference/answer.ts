import type { InferenceEvents, Log, RequestedCall } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import type { Usage } from '../protocol/turn.ts';
import { type CallPart, createCallGatherer } from './call-gatherer.ts';
import { createThinkTag } from './think-tag.ts';

/** What a wire does for its answer. None of them calls back in the caller's own stack. */
export interface Wire {
  /** Tells the server, releases the socket, at once. */
  cancel(): void;
  pause(): void;
  resume(): void;
}

/** What the readers of a wire fill: the daemon's answer, or whoever passes one on. */
export interface AnswerSink {
  /** It has had its end; nothing more is taken. */
  readonly over: boolean;
  /** The server named its reason to stop. */
  readonly finished: boolean;
  accepted(model?: string): void;
  text(delta: string): void;
  thinking(delta: string): void;
  call(part: CallPart): void;
  usage(usage: Usage): void;
  finish(reason: string): void;
  /** The answer ended properly. */
  complete(): void;
  fail(error: OptaError): void;
}

type FinishReason = 'stop' | 'tool_calls' | 'length';

const FINISH: { [reason: string]: FinishReason } = {
  tool_calls: 'tool_calls',
  function_call: 'tool_calls',
  length: 'length',
  max_tokens: 'length',
  model_length: 'length',
};
/** Reasons by which a server says that it gave up. */
const GAVE_UP = new Set(['cancelled', 'canceled', 'error', 'abort', 'aborted']);

/**
 * One step's answer between a wire and the port. It holds the port's promises, so that no wire has to:
 *
 * 1. `accepted` once, before anything else that is good news; exactly one of `end` and `fail`, last.
 * 2. Nothing after `cancel`, also in the middle of a batch that the socket delivered at once.
 * 3. Tool calls leave together, with `end`, and only whole.
 */
export class Answer implements AnswerSink {
  /** The model as it was asked for; the wire knows better once the server names it. */
  model = '';
  provider = '';
  over = false;
  readonly #on: InferenceEvents;
  readonly #idPrefix: string;
  readonly #log: Log;
  readonly #released: (error: OptaError | null) => void;
  readonly #calls = createCallGatherer();
  readonly #tag = createThinkTag(
    (s) => this.#deliver(() => this.#on.text(s)),
    (s) => this.#deliver(() => this.#on.thinking(s)),
  );
  #accepted = false;
  #usage: Usage | undefined;
  #reason: string | null = null;

  /** `released` is called once, before the last event, so that the wire is free when the caller hears of it. */
  constructor(on: InferenceEvents, idPrefix: string, log: Log, released: (error: OptaError | null) => void) {
    this.#on = on;
    this.#idPrefix = idPrefix;
    this.#log = log;
    this.#released = released;
  }

  /** The server named its reason to stop. What may follow is usage and the end of the wire. */
  get finished(): boolean {
    return this.#reason !== null;
  }

  accepted(model?: string): void {
    if (this.#accepted || this.over) return;
    this.#accepted = true;
    if (model) this.model = model;
    this.#deliver(() => this.#on.accepted({ model: this.model, provider: this.provider }));
  }

  text(delta: string): void {
    this.accepted();
    if (!this.over && delta !== '') this.#tag.push(delta);
  }

  /** A sign of life without text. */
  alive(): void {
    this.#deliver(() => this.#on.alive?.());
  }

  thinking(delta: string): void {
    this.accepted();
    if (delta !== '') this.#deliver(() => this.#on.thinking(delta));
  }

  call(part: CallPart): void {
    this.accepted();
    if (this.over) return;
    try {
      this.#calls.add(part);
    } catch (cause) {
      this.fail(toOptaError(cause));
    }
  }

  usage(usage: Usage): void {
    this.#usage = usage;
  }

  finish(reason: string): void {
    this.#reason ??= reason;
  }

  /** The answer ended properly. */
  complete() {
    if (this.over) return;
    if (this.#reason !== null && GAVE_UP.has(this.#reason))
      return this.fail(new OptaError('lmx-ws-closed', `The inference server gave the answer up (${this.#reason}).`));
    let calls: RequestedCall[];
    const reason = FINISH[this.#reason ?? ''] ?? 'stop';
    try {
      // At the length limit the last call may be half a call: then none of them is carried out.
      calls = reason === 'length' && this.#calls.cutOff() ? [] : this.#calls.take(this.#idPrefix);
    } catch (cause) {
      return this.fail(toOptaError(cause));
    }
    this.accepted();
    this.#tag.flush();
    if (this.over) return;
    const finishReason = reason === 'length' ? 'length' : calls.length > 0 ? 'tool_calls' : 'stop';
    const usage = this.#usage;
    this.#close(null);
    this.#guard(() => this.#on.end({ finishReason, calls, ...(usage ? { usage } : {}) }));
  }

  fail(error: OptaError): void {
    if (this.over) return;
    this.#close(error);
    this.#guard(() => this.#on.fail(error));
  }

  /** No event follows. */
  cancel(): void {
    if (!this.over) this.#close(null);
  }

  #close(error: OptaError | null): void {
    this.over = true;
    this.#released(error);
  }

  // [SV1] A listener that throws loses its own stream and nothing else: the socket's stack belongs to everybody.
  #deliver(give: () => void): void {
    if (this.over || this.#guard(give)) return;
    this.fail(new OptaError('internal', 'The listener of an inference stream failed.'));
  }

  #guard(give: () => void): boolean {
    try {
      give();
      return true;
    } catch (cause) {
      this.#log.error('inference listener failed', { error: toOptaError(cause).message });
      return false;
    }
  }
}
