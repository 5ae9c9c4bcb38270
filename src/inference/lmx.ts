import type { Clock, Inference, InferenceEvents, InferenceRequest, InferenceStream, Log } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { Answer, type Wire } from './answer.ts';
import { systemClock } from './clock.ts';
import type { LmxServer } from './lmx-endpoint.ts';
import { type Chosen, type LmxHost, type LmxHostStatus, LmxHosts } from './lmx-hosts.ts';
import type { Discovery } from './lmx-identity.ts';
import { openSse } from './lmx-sse.ts';
import { openWs } from './lmx-ws.ts';
import { chooseModel } from './model-match.ts';

export interface LmxConfig extends LmxServer {
  log: Log;
  clock?: Clock;
  /** Servers that stand in for this one, in their order, each with its own key. */
  fallbacks?: readonly LmxServer[];
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
  /** Absent where there is one host alone. */
  hosts?: LmxHostStatus[];
  lastError: { code: string; message: string; at: number } | null;
}

export interface Lmx extends Inference {
  contextTokens(model: string): number | null;
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
  /** Where it went. */
  host: LmxHost | null;
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
    contextTokens: (model) => engine.contextTokens(model),
    close: () => engine.close(),
    status: () => engine.status(),
  };
};

class LmxEngine implements Lmx {
  readonly #config: LmxConfig;
  readonly #clock: Clock;
  readonly #hosts: LmxHosts;
  readonly #live = new Set<Live>();
  #closed = false;
  #sent = 0;
  #lastError: LmxStatus['lastError'] = null;

  constructor(config: LmxConfig) {
    this.#config = config;
    this.#clock = config.clock ?? systemClock;
    this.#hosts = new LmxHosts([config, ...(config.fallbacks ?? [])], this.#clock);
  }

  stream(request: InferenceRequest, on: InferenceEvents): InferenceStream {
    const released = (error: OptaError | null) => {
      this.#live.delete(stream);
      stream.wire?.cancel();
      if (error) this.#note(error, stream.host);
      else if (answer.finished) stream.host?.succeeded();
    };
    const answer = new Answer(on, `call_${request.turnId}_${request.step}`, this.#config.log, released);
    const stream: Live = { answer, host: null, wire: null, paused: false };
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
    this.#clock.soon(() => this.#hosts.close());
  }

  contextTokens(model: string): number | null {
    return this.#hosts.selected.endpoint.contextTokens(model);
  }

  status(): LmxStatus {
    const { server, endpoint } = this.#hosts.selected;
    const several = this.#hosts.all.length > 1 ? { hosts: this.#hosts.status() } : {};
    const [activeStreams, lastError] = [this.#live.size, this.#lastError];
    const { host, port } = server;
    return { engine: 'lmx', host, port, ...endpoint.status(), activeStreams, lastError, ...several };
  }

  /** Identity, then the model, then the prompt: in this order, and each only if the one before it was good. */
  #start(request: InferenceRequest, stream: Live) {
    const { answer } = stream;
    if (this.#closed) return answer.fail(shuttingDown());
    this.#hosts.choose((refused, chosen) =>
      attempt(answer, () => {
        if (refused || !chosen) throw refused ?? shuttingDown();
        const { host, found } = chosen;
        stream.host = host;
        host.endpoint.models((error, listed) =>
          attempt(answer, () => {
            if (error) throw error;
            const known = listed ?? (request.model === '' && found.kind === 'lmx' ? found.loadedModels : null);
            answer.model = chooseModel(request.model, known, found.kind === 'lmx');
            answer.provider = found.kind === 'lmx' ? 'lmx' : 'openai-compatible';
            this.#send(request, chosen, stream);
          }),
        );
      }),
    );
  }

  #send(request: InferenceRequest, { host, found }: Chosen, stream: Live): void {
    const { answer } = stream;
    const body = bodyOf(request, answer.model, this.#config.maxTokens);
    const path = host.endpoint.wsPath(found);
    if (path === null) {
      this.#overSse(host, body, stream);
      return;
    }
    // On a shared socket no two may have the same, also where a turn is tried again.
    const client_request_id = `${request.turnId}.${request.step}.${++this.#sent}`;
    const frame = { type: 'chat.request', client_request_id, ...body };
    const elsewhere = (why: 'refused' | 'too-large') => {
      if (why === 'refused') host.endpoint.wsRefused();
      this.#config.log.info('inference over the event stream', { why });
      attempt(answer, () => this.#overSse(host, body, stream));
    };
    const isShared = found.kind === 'lmx' && found.can.multiplex;
    const wire = isShared
      ? host.link(path, found).request(frame, answer, elsewhere)
      : openWs(host.server, path, frame, answer, this.#clock, elsewhere);
    hold(stream, wire);
  }

  #overSse(host: LmxHost, body: object, stream: Live): void {
    const text = JSON.stringify({ ...body, stream_options: { include_usage: true } });
    hold(stream, openSse(host.server, text, stream.answer, this.#clock));
  }

  #note(error: OptaError, host: LmxHost | null): void {
    const { code, message } = error;
    // Before one was chosen, all of them have failed.
    if (FORGETTING.has(code)) for (const failed of host ? [host] : this.#hosts.all) this.#hosts.failed(failed, error);
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
