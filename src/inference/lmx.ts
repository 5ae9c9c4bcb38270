import type { Clock, Inference, InferenceEvents, InferenceRequest, InferenceStream, Log } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { Answer, type Wire } from './answer.ts';
import { systemClock } from './clock.ts';
import { LmxEndpoint, type LmxServer } from './lmx-endpoint.ts';
import type { Discovery } from './lmx-identity.ts';
import { openSse } from './lmx-sse.ts';
import { openWs } from './lmx-ws.ts';
import { chooseModel } from './model-match.ts';

export interface LmxConfig extends LmxServer {
  log: Log;
  clock?: Clock;
  /** Sent as `max_tokens`. Without it the server's own default holds, which for an LMX of the first kind is 2,048. */
  maxTokens?: number;
}

export interface LmxStatus {
  engine: 'lmx';
  host: string;
  port: number;
  /** `unasked`: nothing was sent yet; `plain`: an OpenAI-compatible server that is not an LMX. */
  identity: Discovery['kind'] | 'unasked';
  /** Loaded models as of a moment ago; null when not known. */
  models: string[] | null;
  /** Until then the server is not asked for WebSockets; null when they are in use. */
  wsOffUntil: number | null;
  activeStreams: number;
  lastError: { code: string; message: string; at: number } | null;
}

export interface Lmx extends Inference {
  /** Ends every stream with `shutting-down`, and refuses new ones. */
  close(): void;
  status(): LmxStatus;
}

/** Failures after which the server may be another one, or none: what was known about it is forgotten. */
const FORGETTING = new Set([
  'lmx-connection-refused',
  'lmx-ws-closed',
  'lmx-timeout',
  'lmx-untrusted',
  'no-model-loaded',
]);

interface Live {
  answer: Answer;
  wire: Wire | null;
  paused: boolean;
}

/**
 * The engine behind one server: an Opta LMX (WebSocket, else event stream) or any OpenAI-compatible one (event stream). It
 * sends a request once. Whether a failed step is sent again is the caller's decision, who knows what was emitted.
 */
export const createLmx = (config: LmxConfig): Lmx => {
  const engine = new LmxEngine(config);
  return {
    stream: (request, on) => engine.stream(request, on),
    close: () => engine.close(),
    status: () => engine.status(),
  };
};

class LmxEngine implements Lmx {
  readonly #config: LmxConfig;
  readonly #clock: Clock;
  readonly #endpoint: LmxEndpoint;
  readonly #live = new Set<Live>();
  #closed = false;
  #lastError: LmxStatus['lastError'] = null;

  constructor(config: LmxConfig) {
    this.#config = config;
    this.#clock = config.clock ?? systemClock;
    this.#endpoint = new LmxEndpoint(config, this.#clock);
  }

  stream(request: InferenceRequest, on: InferenceEvents): InferenceStream {
    const released = (error: OptaError | null) => {
      this.#live.delete(stream);
      stream.wire?.cancel();
      if (error) this.#note(error);
    };
    const answer = new Answer(on, `call_${request.turnId}_${request.step}`, this.#config.log, released);
    const stream: Live = { answer, wire: null, paused: false };
    this.#live.add(stream);
    this.#clock.soon(() => attempt(answer, () => this.#start(request, stream)));
    return {
      cancel: () => answer.cancel(),
      pause: () => {
        stream.paused = true;
        stream.wire?.pause();
      },
      resume: () => {
        stream.paused = false;
        stream.wire?.resume();
      },
    };
  }

  close(): void {
    this.#closed = true;
    for (const { answer } of this.#live) this.#clock.soon(() => answer.fail(shuttingDown()));
  }

  status(): LmxStatus {
    const { host, port } = this.#config;
    const known = this.#endpoint.status();
    return { engine: 'lmx', host, port, ...known, activeStreams: this.#live.size, lastError: this.#lastError };
  }

  /** Identity, then the model, then the prompt: in this order, and each only if the one before it was good. */
  #start(request: InferenceRequest, stream: Live) {
    const { answer } = stream;
    if (this.#closed) return answer.fail(shuttingDown());
    this.#endpoint.identify((distrusted, found) =>
      attempt(answer, () => {
        if (distrusted || !found) throw distrusted ?? shuttingDown();
        this.#endpoint.models((error, listed) =>
          attempt(answer, () => {
            if (error) throw error;
            const known = listed ?? (request.model === '' && found.kind === 'lmx' ? found.loadedModels : null);
            answer.model = chooseModel(request.model, known, found.kind === 'lmx');
            answer.provider = found.kind === 'lmx' ? 'lmx' : 'openai-compatible';
            this.#send(request, found, stream);
          }),
        );
      }),
    );
  }

  #send(request: InferenceRequest, found: Discovery, stream: Live): void {
    const { answer } = stream;
    const body = bodyOf(request, answer.model, this.#config.maxTokens);
    const path = this.#endpoint.wsPath(found);
    if (path === null) {
      this.#overSse(body, stream);
      return;
    }
    const frame = { type: 'chat.request', client_request_id: `${request.turnId}.${request.step}`, ...body };
    const wire = openWs(this.#config, path, frame, answer, this.#clock, (why) => {
      if (why === 'refused') this.#endpoint.wsRefused();
      this.#config.log.info('inference over the event stream', { why });
      attempt(answer, () => this.#overSse(body, stream));
    });
    hold(stream, wire);
  }

  #overSse(body: object, stream: Live): void {
    const text = JSON.stringify({ ...body, stream_options: { include_usage: true } });
    hold(stream, openSse(this.#config, text, stream.answer, this.#clock));
  }

  #note(error: OptaError): void {
    const { code, message } = error;
    if (FORGETTING.has(code)) this.#endpoint.forget();
    this.#lastError = { code, message, at: this.#clock.now() };
    this.#config.log.warn('inference failed', { code, message });
  }
}

const hold = (stream: Live, wire: Wire): void => {
  stream.wire = wire;
  if (stream.paused) wire.pause();
};

const shuttingDown = () => new OptaError('shutting-down', 'The inference engine is closed.');

/** One step towards the answer, unless nobody waits for it any more; what it throws is the answer's failure. */
const attempt = (answer: Answer, step: () => void): void => {
  if (answer.over) return;
  try {
    step();
  } catch (cause) {
    answer.fail(toOptaError(cause));
  }
};

/** The members that both wires share. Absent ones are left to the server's defaults. */
const bodyOf = (request: InferenceRequest, model: string, maxTokens: number | undefined) => ({
  model,
  messages: request.messages,
  ...(request.tools.length === 0 ? {} : { tools: request.tools.map((f) => ({ type: 'function', function: f })) }),
  ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
  stream: true,
});
