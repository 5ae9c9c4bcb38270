import type { Clock } from '../../actors/ports.ts';
import type { CallDelta, FinishReason, TokenUsage } from '../engine.ts';
import type { LmxError } from '../errors.ts';
import type { RequestEvents, RequestHandle } from '../gateway.ts';
import { usageOf } from './chunks.ts';
import { asToolCalls, GatheredCalls } from './gathered.ts';

export interface SocketRequestConfig {
  clientRequestId: string | null;
  model: string;
  /** False: the answer is in `chat.done`. */
  stream: boolean;
  incrementalTools: boolean;
}

export interface SocketRequestWorld {
  clock: Clock;
  keepaliveMs: number;
  send(frame: object): void;
  /** It has had its last frame. */
  over(request: SocketRequest): void;
}

/** One request on a socket: it turns the gateway's words into frames, and is never silent for longer than its keepalive. */
export class SocketRequest implements RequestEvents {
  readonly clientRequestId: string | null;
  readonly #config: SocketRequestConfig;
  readonly #world: SocketRequestWorld;
  readonly #calls = new GatheredCalls(() => this.id);
  readonly #startedAt: number;
  readonly #text: string[] = [];
  #handle: RequestHandle | null = null;
  #accepted = false;
  #over = false;
  #keepalive: unknown;
  /** The call that is being written; it leaves whole when the next one begins. */
  #open: number | null = null;

  constructor(config: SocketRequestConfig, world: SocketRequestWorld) {
    this.clientRequestId = config.clientRequestId;
    this.#config = config;
    this.#world = world;
    this.#startedAt = world.clock.now();
  }

  get id(): string {
    return this.#handle?.id ?? '';
  }

  begin(handle: RequestHandle): void {
    this.#handle = handle;
    this.#rest();
  }

  /** `told`: the client asked for it, and has its last frame. */
  cancel(told: boolean): void {
    this.#handle?.cancel(told);
    if (told) return;
    this.#end();
  }

  pause(): void {
    this.#handle?.pause();
  }

  resume(): void {
    this.#handle?.resume();
  }

  queued(position: number): void {
    this.#accept(position);
  }

  started({ model }: { model: string }): void {
    this.#accept(0, model);
  }

  text(delta: string): void {
    if (this.#config.stream) this.#send({ type: 'chat.token', content: delta });
    else this.#text.push(delta);
  }

  reasoning(delta: string): void {
    if (this.#config.stream) this.#send({ type: 'chat.reasoning', content: delta });
  }

  call(delta: CallDelta): void {
    this.#calls.add(delta);
    if (!this.#config.stream) return;
    if (this.#config.incrementalTools) {
      const { index, id = null, name = null, arguments: args } = delta;
      return this.#send({ type: 'chat.tool_call', tool_call: { index, id, name, arguments: args } });
    }
    if (this.#open !== null && this.#open !== delta.index) this.#sendCall(this.#open);
    this.#open = delta.index;
  }

  done(result: { finishReason: FinishReason | 'cancelled'; usage: TokenUsage | null; trimmed: number }): void {
    const { stream } = this.#config;
    // Half a call of an answer that was cut off is not given away as a whole one.
    if (this.#open !== null && result.finishReason !== 'cancelled') this.#sendCall(this.#open);
    const calls = this.#calls.all();
    this.#send({
      type: 'chat.done',
      finish_reason: result.finishReason,
      model: this.#config.model,
      usage: usageOf(result.usage, result.trimmed),
      ...(stream
        ? {}
        : {
            content: this.#text.length === 0 && calls.length > 0 ? null : this.#text.join(''),
            tool_calls: calls.length === 0 ? null : asToolCalls(calls),
          }),
    });
    this.#end();
  }

  refused(error: LmxError): void {
    this.failed(error);
  }

  failed(error: LmxError): void {
    this.#send(errorFrame(error));
    this.#end();
  }

  #accept(position: number, model = this.#config.model): void {
    if (this.#accepted) return;
    this.#accepted = true;
    this.#send({ type: 'chat.accepted', model, queue_position: position });
  }

  #sendCall(index: number): void {
    const call = this.#calls.all().find((c) => c.index === index);
    if (call) this.#send({ type: 'chat.tool_call', tool_call: call });
    this.#open = null;
  }

  #send(frame: object): void {
    if (this.#over) return;
    const { type, ...rest } = frame as { type: string };
    this.#world.send({ type, request_id: this.id, ...ids(this.clientRequestId), ...rest });
    this.#rest();
  }

  #rest(): void {
    const { clock, keepaliveMs } = this.#world;
    clock.clearTimeout(this.#keepalive);
    if (this.#over) return;
    this.#keepalive = clock.setTimeout(() => {
      const phase = this.#handle?.phase() ?? 'queued';
      this.#send({ type: 'chat.keepalive', phase, elapsed_ms: clock.now() - this.#startedAt });
    }, keepaliveMs);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#world.clock.clearTimeout(this.#keepalive);
    this.#world.over(this);
  }
}

export const ids = (clientRequestId: string | null) =>
  clientRequestId === null ? {} : { client_request_id: clientRequestId };

export const errorFrame = (error: LmxError) => ({
  type: 'chat.error',
  error: error.message,
  code: error.code,
  status: error.status,
  retryable: error.retryable,
  ...(error.retryAfterMs === null ? {} : { retry_after_ms: error.retryAfterMs }),
});
