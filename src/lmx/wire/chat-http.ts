import type { Clock } from '../../actors/ports.ts';
import type { Exchange, ResponseStream } from '../../transport/port.ts';
import type { CallDelta, FinishReason, TokenUsage } from '../engine.ts';
import { envelope, type LmxError } from '../errors.ts';
import type { Caller, Gateway, RequestEvents, RequestHandle } from '../gateway.ts';
import type { LmxLimits } from '../limits.ts';
import { type ChatBody, generateRequest } from './chat-schema.ts';
import * as chunks from './chunks.ts';
import { GatheredCalls } from './gathered.ts';
import { modelFor } from './model-for.ts';

export interface ChatHttp {
  gateway: Gateway;
  clock: Clock;
  limits: LmxLimits;
  reply(exchange: Exchange, status: number, body: object, headers?: [string, string][]): void;
  refuse(exchange: Exchange, error: LmxError): void;
  /** What a browser of an allowed origin needs to read a stream. */
  cors(exchange: Exchange): [string, string][];
}

const STREAM_HEAD = [
  ['content-type', 'text/event-stream; charset=utf-8'],
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
] as [string, string][];

/** `POST /v1/chat/completions`. Throws what is wrong with the request. */
export const answerChat = (deps: ChatHttp, exchange: Exchange, body: ChatBody, caller: Caller): void => {
  const model = modelFor(deps.gateway, body.model);
  const answer = body.stream ? new Streamed(deps, exchange, body) : new Whole(deps, exchange);
  answer.begin(deps.gateway.submit(generateRequest(body, model), { ...caller, stream: body.stream === true }, answer));
};

abstract class HttpAnswer implements RequestEvents {
  protected readonly deps: ChatHttp;
  protected readonly exchange: Exchange;
  protected facts: chunks.AnswerFacts = { id: '', model: '', created: 0 };
  protected handle: RequestHandle | null = null;
  protected over = false;

  constructor(deps: ChatHttp, exchange: Exchange) {
    this.deps = deps;
    this.exchange = exchange;
  }

  begin(handle: RequestHandle): void {
    this.handle = handle;
    this.facts = { ...this.facts, id: handle.id, created: Math.floor(this.deps.clock.now() / 1_000) };
    // [LG3] A caller who has gone wants nothing any more.
    this.exchange.whenGone(() => this.gone());
  }

  queued(): void {
    // Nothing leaves before the answer does.
  }

  started({ model }: { model: string }): void {
    this.facts = { ...this.facts, model };
  }

  abstract text(delta: string): void;
  abstract reasoning(delta: string): void;
  abstract call(delta: CallDelta): void;
  abstract done(result: { finishReason: FinishReason | 'cancelled'; usage: TokenUsage | null; trimmed: number }): void;
  abstract failed(error: LmxError): void;

  refused(error: LmxError): void {
    this.over = true;
    this.deps.refuse(this.exchange, error);
  }

  protected gone(): void {
    if (this.over) return;
    this.over = true;
    this.handle?.cancel(false);
  }
}

/** The answer in one piece. */
class Whole extends HttpAnswer {
  readonly #text: string[] = [];
  readonly #reasoning: string[] = [];
  readonly #calls = new GatheredCalls(() => this.facts.id);

  text(delta: string): void {
    this.#text.push(delta);
  }
  reasoning(delta: string): void {
    this.#reasoning.push(delta);
  }
  call(delta: CallDelta): void {
    this.#calls.add(delta);
  }
  done(result: { finishReason: FinishReason | 'cancelled'; usage: TokenUsage | null; trimmed: number }): void {
    this.over = true;
    const said = { text: this.#text.join(''), reasoning: this.#reasoning.join(''), calls: this.#calls.all() };
    this.deps.reply(this.exchange, 200, chunks.wholeAnswer(this.facts, said, result), trimmedHeader(result.trimmed));
  }
  failed(error: LmxError): void {
    this.refused(error);
  }
}

const trimmedHeader = (trimmed: number): [string, string][] =>
  trimmed > 0 ? [['x-opta-trimmed', String(trimmed)]] : [];

/**
 * The answer as an event stream. Its head leaves with the first piece, or when a keepalive is due: until then every failure is a real
 * status.
 */
class Streamed extends HttpAnswer {
  readonly #withUsage: boolean;
  #out: ResponseStream | null = null;
  #paused = false;
  #keepalive: unknown;
  /** A reader that takes nothing is let go. */
  #slow: unknown;

  constructor(deps: ChatHttp, exchange: Exchange, body: ChatBody) {
    super(deps, exchange);
    this.#withUsage = body.stream_options?.include_usage ?? false;
  }

  override started(facts: { model: string }): void {
    super.started(facts);
    this.#rest();
  }
  text(delta: string): void {
    this.#write(chunks.textChunk(this.facts, delta));
  }
  reasoning(delta: string): void {
    this.#write(chunks.reasoningChunk(this.facts, delta));
  }
  call(delta: CallDelta): void {
    this.#write(chunks.callChunk(this.facts, delta));
  }

  done(result: { finishReason: FinishReason | 'cancelled'; usage: TokenUsage | null; trimmed: number }): void {
    this.#write(chunks.finishChunk(this.facts, result.finishReason));
    // What was left out is told, also to who did not ask for figures.
    if (this.#withUsage || result.trimmed > 0) this.#write(chunks.usageChunk(this.facts, result.usage, result.trimmed));
    this.#end('data: [DONE]\n\n');
  }

  /** After the head: an error in the stream, and no `[DONE]`. */
  failed(error: LmxError): void {
    if (this.#out === null) {
      this.#stopTimers();
      return this.refused(error);
    }
    this.#end(`data: ${JSON.stringify({ error: envelope(error).error })}\n\n`);
  }

  override refused(error: LmxError): void {
    this.#stopTimers();
    super.refused(error);
  }

  protected override gone(): void {
    this.#stopTimers();
    super.gone();
  }

  #end(last: string): void {
    this.#stopTimers();
    const out = this.#out;
    this.over = true;
    out?.write(last);
    out?.end();
  }

  #write(chunk: object): void {
    if (this.over || !this.#open()) return;
    this.#out?.write(`data: ${JSON.stringify(chunk)}\n\n`);
    this.#rest();
    if (!this.#paused && (this.#out?.bufferedBytes() ?? 0) > this.deps.limits.backlogBytes) this.#pause();
  }

  #open(): boolean {
    if (this.#out) return true;
    this.#out = this.exchange.stream(
      { status: 200, headers: [...STREAM_HEAD, ...this.deps.cors(this.exchange)] },
      { drain: () => this.#resume(), closed: () => this.gone() },
    );
    if (this.#out === null) {
      this.gone();
      return false;
    }
    this.#out.write(`data: ${JSON.stringify(chunks.roleChunk(this.facts))}\n\n`);
    return !this.over;
  }

  #rest(): void {
    const { clock, limits } = this.deps;
    clock.clearTimeout(this.#keepalive);
    this.#keepalive = clock.setTimeout(() => {
      if (this.over || !this.#open()) return;
      this.#out?.write(': keep-alive\n\n');
      this.#rest();
    }, limits.keepaliveMs);
  }

  #pause(): void {
    this.#paused = true;
    this.handle?.pause();
    const { clock, limits } = this.deps;
    this.#slow = clock.setTimeout(() => {
      this.#out?.cut();
      this.gone();
    }, limits.readerMs);
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.deps.clock.clearTimeout(this.#slow);
    this.handle?.resume();
  }

  #stopTimers(): void {
    this.deps.clock.clearTimeout(this.#keepalive);
    this.deps.clock.clearTimeout(this.#slow);
  }
}
