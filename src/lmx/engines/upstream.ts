import { Agent } from 'node:http';
import type { Clock, Log } from '../../actors/ports.ts';
import type { AnswerSink, Wire } from '../../inference/answer.ts';
import type { CallPart } from '../../inference/call-gatherer.ts';
import { failureOf, fromServer } from '../../inference/error-map.ts';
import type { LmxServer } from '../../inference/lmx-endpoint.ts';
import { openSse } from '../../inference/lmx-sse.ts';
import { exchange, type Probed, placeOf } from '../../inference/probe.ts';
import { type OptaError, toOptaError } from '../../protocol/errors.ts';
import type {
  AvailableModel,
  Engine,
  EngineListener,
  FinishReason,
  GenerateEvents,
  GenerateRequest,
  TokenUsage,
} from '../engine.ts';
import { type LmxDone, LmxError } from '../errors.ts';

export interface UpstreamConfig extends LmxServer {
  /** Answers that it may be asked for at once. */
  parallel?: number;
  /** How often its list of models is read. */
  refreshMs?: number;
}

const LIST_DEADLINE_MS = 5_000;
const LIST_BYTES_MAX = 4 << 20;
const REFRESH_MS = 10_000;
const KEEP_MS = 2_000;

interface Listed extends AvailableModel {
  contextLength: number | null;
}

/**
 * Any OpenAI-compatible server as an engine: vLLM, the server of llama.cpp, Ollama, LM Studio, or what stands before a cluster. Its
 * models are those that it lists; it loads them by its own means. Text, reasoning and pieces of calls are passed on as they come.
 */
export const createUpstream = (config: UpstreamConfig, world: { clock: Clock; log: Log }): Engine =>
  new Upstream(config, world);

class Upstream implements Engine {
  readonly kind = 'upstream';
  readonly manages = false;
  readonly parallel: number;
  readonly #agent: Agent;
  readonly #config: UpstreamConfig;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #live = new Map<Passing, string>();
  #listed: Listed[] = [];
  /** Since the last refresh, whoever read the list then. */
  #moved = false;
  #listener: EngineListener | null = null;
  #timer: unknown;
  #closed = false;
  #away: { since: number; reason: string } | null = null;

  constructor(config: UpstreamConfig, { clock, log }: { clock: Clock; log: Log }) {
    // Shorter than servers keep a connection that is not used: one that they close just then would fail a request.
    this.#agent = new Agent({ keepAlive: true, timeout: KEEP_MS, maxFreeSockets: 16 });
    this.#config = { ...config, agent: this.#agent };
    this.#clock = clock;
    this.#log = log;
    this.parallel = config.parallel ?? 64;
    this.#later();
  }

  available(done: LmxDone<AvailableModel[] | null>): void {
    this.#list((error, listed) => done(error, listed));
  }

  /** A look whether it is there. */
  load(
    modelId: string,
    _options: object,
    done: LmxDone<{ contextLength: number | null; memoryBytes: null } | null>,
  ): void {
    this.#list((error, listed) => {
      if (error || listed === null) return done(error ?? unavailable('it does not list its models'), null);
      const model = listed.find((m) => m.id === modelId);
      if (!model) return done(new LmxError('model_not_found', `The upstream does not list ${modelId}.`), null);
      done(null, { contextLength: model.contextLength, memoryBytes: null });
    });
  }

  unload(_modelId: string, done: LmxDone<null>): void {
    this.#clock.soon(() => done(null, null));
  }

  generate(request: GenerateRequest, on: GenerateEvents) {
    const passing = new Passing(on, (error) => {
      this.#live.delete(passing);
      if (error?.code === 'engine_unavailable') this.#lost(error.message);
    });
    this.#live.set(passing, request.model);
    this.#clock.soon(() => {
      if (passing.over) return;
      try {
        passing.begin(openSse(this.#config, JSON.stringify(bodyOf(request)), passing, this.#clock));
      } catch (cause) {
        passing.fail(toOptaError(cause));
      }
    });
    return passing;
  }

  kill(): void {
    // It is another program, and lives as it likes.
  }

  listen(listener: EngineListener): void {
    this.#listener = listener;
  }

  facts() {
    const { host, port } = this.#config;
    return { url: `http://${placeOf({ host, port, loopbackOnly: false })}`, away: this.#away, active: this.#live.size };
  }

  close(done: () => void): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    for (const passing of [...this.#live.keys()]) passing.shut();
    this.#agent.destroy();
    this.#clock.soon(done);
  }

  #later(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#list((error) => {
        if (this.#closed) return;
        if (error) this.#lost(error.message);
        else if (this.#moved) {
          this.#moved = false;
          this.#listener?.changed?.();
        }
        this.#later();
      });
    }, this.#config.refreshMs ?? REFRESH_MS);
  }

  /** Nothing answers there: its models are not to be had until something does. */
  #lost(reason: string): void {
    if (this.#away === null) this.#log.warn('the upstream is away', { reason });
    this.#away ??= { since: this.#clock.now(), reason };
    for (const { id } of this.#listed) this.#listener?.lost(id, reason);
  }

  #list(done: LmxDone<Listed[] | null>): void {
    const { apiKey } = this.#config;
    const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
    const asked = {
      method: 'GET',
      path: '/v1/models',
      headers,
      deadlineMs: LIST_DEADLINE_MS,
      answerBytesMax: LIST_BYTES_MAX,
    };
    const answered = (error: OptaError | null, answer: Probed | null): void => {
      if (error || answer === null) return done(unavailable(error?.message ?? 'it did not answer'), null);
      const listed = answer.status === 200 ? modelsIn(answer.body) : null;
      if (listed === null) return done(inOurCodes(fromServer(failureOf(answer.body, answer.status))), null);
      this.#away = null;
      this.#moved ||= listed.map((m) => m.id).join('\n') !== this.#listed.map((m) => m.id).join('\n');
      this.#listed = listed;
      done(null, listed);
    };
    try {
      exchange(this.#config, asked, this.#clock, answered);
    } catch (cause) {
      this.#clock.soon(() => answered(toOptaError(cause), null));
    }
  }
}

const unavailable = (reason: string) =>
  new LmxError('engine_unavailable', `The upstream: ${reason}`, { retryAfterMs: 2_000 });

/** One answer on its way through. */
class Passing implements AnswerSink {
  over = false;
  readonly #on: GenerateEvents;
  readonly #released: (error: LmxError | null) => void;
  #wire: Wire | null = null;
  #paused = false;
  #reason: string | null = null;
  #usage: TokenUsage | null = null;
  /** The ids of the calls, by their place; servers that give no index tell them apart by these. */
  readonly #calls: string[] = [];

  constructor(on: GenerateEvents, released: (error: LmxError | null) => void) {
    this.#on = on;
    this.#released = released;
  }

  begin(wire: Wire): void {
    this.#wire = wire;
    if (this.over) wire.cancel();
    else if (this.#paused) wire.pause();
  }

  cancel(): void {
    if (this.over) return;
    this.#close(null);
  }

  shut(): void {
    this.#fail(new LmxError('shutting_down', 'The engine is closed.'));
  }

  pause(): void {
    this.#paused = true;
    this.#wire?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#wire?.resume();
  }

  get finished(): boolean {
    return this.#reason !== null;
  }

  accepted(): void {
    // Of interest to nobody: the gateway has accepted it.
  }

  text(delta: string): void {
    if (!this.over && delta !== '') this.#on.text(delta);
  }

  thinking(delta: string): void {
    if (!this.over && delta !== '') this.#on.reasoning(delta);
  }

  call({ index, id = '', name = '', args = '' }: CallPart): void {
    if (this.over) return;
    const known = id === '' ? -1 : this.#calls.lastIndexOf(id);
    const isNew = id !== '' && known < 0;
    // Some count every call as the first, and some give no place at all.
    const place = known >= 0 ? known : isNew ? this.#calls.length : (index ?? this.#calls.length - 1);
    if (place < 0 || place >= CALLS_MAX || (!isNew && place >= this.#calls.length && id === '' && name === '')) return;
    const first = this.#calls[place] === undefined;
    if (first) this.#calls[place] = id;
    this.#on.call({
      index: place,
      ...(first && id !== '' ? { id } : {}),
      ...(first && name !== '' ? { name } : {}),
      arguments: args,
    });
  }

  usage({ promptTokens, completionTokens }: TokenUsage): void {
    this.#usage = { promptTokens, completionTokens };
  }

  finish(reason: string): void {
    this.#reason ??= reason;
  }

  complete(): void {
    if (this.over) return;
    const said = this.#reason ?? 'stop';
    if (GAVE_UP.has(said))
      return this.#fail(new LmxError('engine_failed', `The upstream gave the answer up (${said}).`));
    const finishReason = FINISH[said] ?? (this.#calls.length > 0 ? 'tool_calls' : 'stop');
    this.#close(null);
    this.#on.end({ finishReason, usage: this.#usage });
  }

  fail(error: OptaError): void {
    this.#fail(inOurCodes(error));
  }

  #fail(error: LmxError): void {
    if (this.over) return;
    this.#close(error);
    this.#on.fail(error);
  }

  #close(error: LmxError | null): void {
    this.over = true;
    this.#wire?.cancel();
    this.#released(error);
  }
}

const CALLS_MAX = 128;

const FINISH: { [reason: string]: FinishReason } = {
  length: 'length',
  max_tokens: 'length',
  model_length: 'length',
  tool_calls: 'tool_calls',
  function_call: 'tool_calls',
  content_filter: 'content_filter',
};
const GAVE_UP = new Set(['cancelled', 'canceled', 'error', 'abort', 'aborted']);

/** What went wrong at the upstream, as our callers know it. Its key is our matter and not theirs: that is no 401 of ours. */
const inOurCodes = ({ code, message, facts }: OptaError): LmxError => {
  const after = typeof facts.retryAfterMs === 'number' ? { retryAfterMs: facts.retryAfterMs } : {};
  switch (code) {
    case 'lmx-busy':
      return new LmxError(facts.serverStatus === 429 ? 'rate_limit_exceeded' : 'overloaded', message, after);
    case 'no-model-loaded':
      return new LmxError('model_not_found', message, { param: 'model' });
    case 'lmx-request-rejected': {
      const tooLong = facts.serverCode === 'context_length_exceeded' || /context (?:length|window|size)/i.test(message);
      return new LmxError(tooLong ? 'context_length_exceeded' : 'invalid_request', message);
    }
    case 'lmx-out-of-memory':
      return new LmxError('insufficient_memory', message);
    case 'lmx-timeout':
      return new LmxError('timeout', message);
    case 'lmx-connection-refused':
      return new LmxError('engine_unavailable', message, { retryAfterMs: 2_000 });
    case 'lmx-unauthorized':
      return new LmxError('engine_failed', `The upstream refuses the key that this server has for it. ${message}`);
    default:
      return new LmxError('engine_failed', message);
  }
};

const bodyOf = (r: GenerateRequest): object => ({
  model: r.model,
  messages: r.messages,
  ...(r.tools ? { tools: r.tools, ...(r.toolChoice ? { tool_choice: r.toolChoice } : {}) } : {}),
  ...(r.maxTokens === undefined ? {} : { max_tokens: r.maxTokens }),
  ...(r.temperature === undefined ? {} : { temperature: r.temperature }),
  ...(r.topP === undefined ? {} : { top_p: r.topP }),
  ...(r.stop === undefined ? {} : { stop: r.stop }),
  ...(r.seed === undefined ? {} : { seed: r.seed }),
  ...(r.frequencyPenalty === undefined ? {} : { frequency_penalty: r.frequencyPenalty }),
  ...(r.presencePenalty === undefined ? {} : { presence_penalty: r.presencePenalty }),
  ...(r.responseFormat === undefined ? {} : { response_format: r.responseFormat }),
  stream: true,
  stream_options: { include_usage: true },
});

/** Context lengths stand in other places with every server. */
const modelsIn = (body: unknown): Listed[] | null => {
  const data = (body as { data?: unknown } | null | undefined)?.data;
  if (!Array.isArray(data)) return null;
  return data.flatMap((m: unknown) => {
    const model = (typeof m === 'object' && m !== null ? m : {}) as { [name: string]: unknown };
    if (typeof model.id !== 'string' || model.id === '') return [];
    const meta = (typeof model.meta === 'object' && model.meta !== null ? model.meta : {}) as {
      [name: string]: unknown;
    };
    const lengths = [
      model.max_model_len,
      model.context_length,
      model.loaded_context_length,
      model.max_context_length,
      meta.n_ctx,
      meta.n_ctx_train,
    ];
    const contextLength = lengths.find((n): n is number => typeof n === 'number' && n > 0) ?? null;
    const created = typeof model.created === 'number' ? model.created * 1_000 : null;
    return [{ id: model.id, path: null, sizeBytes: null, modifiedAt: created, contextLength }];
  });
};
