import type { Clock, Inference, InferenceRequest, InferenceStream, Log } from '../actors/ports.ts';
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
  const clock = config.clock ?? systemClock;
  const endpoint = new LmxEndpoint(config, clock);
  const live = new Set<Live>();
  let closed = false;
  let lastError: LmxStatus['lastError'] = null;

  const noted = (error: OptaError): void => {
    if (FORGETTING.has(error.code)) endpoint.forget();
    lastError = { code: error.code, message: error.message, at: clock.now() };
    config.log.warn('inference failed', { code: error.code, message: error.message });
  };

  const send = (request: InferenceRequest, found: Discovery, stream: Live) => {
    const { answer } = stream;
    const body = bodyOf(request, answer.model, config.maxTokens);
    const hold = (wire: Wire): void => {
      stream.wire = wire;
      if (stream.paused) wire.pause();
    };
    const overSse = () => {
      const text = JSON.stringify({ ...body, stream_options: { include_usage: true } });
      hold(openSse(config, text, answer, clock));
    };
    const path = endpoint.wsPath(found);
    if (path === null) return overSse();
    const frame = { type: 'chat.request', client_request_id: `${request.turnId}.${request.step}`, ...body };
    hold(
      openWs(config, path, frame, answer, clock, (why) => {
        if (why === 'refused') endpoint.wsRefused();
        config.log.info('inference over the event stream', { why });
        attempt(answer, overSse);
      }),
    );
  };

  /** Identity, then the model, then the prompt: in this order, and each only if the one before it was good. */
  const start = (request: InferenceRequest, stream: Live) => {
    const { answer } = stream;
    if (closed) return answer.fail(shuttingDown());
    endpoint.identify((distrusted, found) => {
      if (answer.over) return;
      if (distrusted || !found) return answer.fail(distrusted ?? shuttingDown());
      endpoint.models((error, listed) => {
        if (answer.over) return;
        if (error) return answer.fail(error);
        attempt(answer, () => {
          const known = listed ?? (request.model === '' && found.kind === 'lmx' ? found.loadedModels : null);
          answer.model = chooseModel(request.model, known, found.kind === 'lmx');
          answer.provider = found.kind === 'lmx' ? 'lmx' : 'openai-compatible';
          send(request, found, stream);
        });
      });
    });
  };

  return {
    stream: (request, on): InferenceStream => {
      const released = (error: OptaError | null) => {
        live.delete(stream);
        stream.wire?.cancel();
        if (error) noted(error);
      };
      const answer = new Answer(on, `call_${request.turnId}_${request.step}`, config.log, released);
      const stream: Live = { answer, wire: null, paused: false };
      live.add(stream);
      clock.soon(() => {
        if (!answer.over) attempt(answer, () => start(request, stream));
      });
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
    },
    close: () => {
      closed = true;
      for (const { answer } of live) clock.soon(() => answer.fail(shuttingDown()));
    },
    status: () => ({
      engine: 'lmx',
      host: config.host,
      port: config.port,
      ...endpoint.status(),
      activeStreams: live.size,
      lastError,
    }),
  };
};

const shuttingDown = () => new OptaError('shutting-down', 'The inference engine is closed.');

const attempt = (answer: Answer, step: () => void): void => {
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
