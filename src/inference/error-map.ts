import { LIMITS } from '../actors/limits.ts';
import { type ErrorCode, type ErrorFacts, OptaError } from '../protocol/errors.ts';

/**
 * What went wrong at an inference server, in our words: by its code, then its status, then the socket's error code, and by
 * text only for servers that give nothing else.
 */
export interface ServerFailure {
  code?: string;
  status?: number;
  message?: string;
  retryAfterMs?: number;
}

const BY_CODE: { [code: string]: ErrorCode } = {
  model_not_found: 'no-model-loaded',
  model_not_loaded: 'no-model-loaded',
  rate_limit_exceeded: 'lmx-busy',
  overloaded: 'lmx-busy',
  engine_unavailable: 'lmx-busy',
  shutting_down: 'lmx-busy',
  engine_failed: 'lmx-ws-closed',
  model_unstable: 'no-model-loaded',
  model_canary_failed: 'no-model-loaded',
  too_many_requests: 'lmx-busy',
  queue_full: 'lmx-busy',
  queue_saturated: 'lmx-busy',
  insufficient_memory: 'lmx-out-of-memory',
  out_of_memory: 'lmx-out-of-memory',
  unauthorized: 'lmx-unauthorized',
  forbidden: 'lmx-unauthorized',
  invalid_api_key: 'lmx-unauthorized',
  missing_subscription_token: 'lmx-unauthorized',
  token_expired: 'lmx-unauthorized',
  timeout: 'lmx-timeout',
  request_timeout: 'lmx-timeout',
  model_load_timeout: 'lmx-timeout',
  context_length_exceeded: 'lmx-request-rejected',
  invalid_request: 'lmx-request-rejected',
  invalid_json: 'lmx-request-rejected',
  invalid_input: 'lmx-request-rejected',
  invalid_header: 'lmx-request-rejected',
  invalid_value: 'lmx-request-rejected',
  not_supported: 'lmx-request-rejected',
  payload_too_large: 'lmx-request-rejected',
  downloads_disabled: 'lmx-request-rejected',
};

const BY_STATUS: { [status: number]: ErrorCode } = {
  401: 'lmx-unauthorized',
  403: 'lmx-unauthorized',
  408: 'lmx-timeout',
  429: 'lmx-busy',
  503: 'lmx-busy',
  504: 'lmx-timeout',
  507: 'lmx-out-of-memory',
};

const BY_SOCKET: { [code: string]: ErrorCode } = {
  ECONNREFUSED: 'lmx-connection-refused',
  ENOTFOUND: 'lmx-connection-refused',
  EAI_AGAIN: 'lmx-connection-refused',
  EHOSTUNREACH: 'lmx-connection-refused',
  EHOSTDOWN: 'lmx-connection-refused',
  ENETUNREACH: 'lmx-connection-refused',
  EADDRNOTAVAIL: 'lmx-connection-refused',
  ETIMEDOUT: 'lmx-timeout',
  ESOCKETTIMEDOUT: 'lmx-timeout',
  ECONNRESET: 'lmx-ws-closed',
  ECONNABORTED: 'lmx-ws-closed',
  EPIPE: 'lmx-ws-closed',
  ERR_STREAM_PREMATURE_CLOSE: 'lmx-ws-closed',
};

const BY_TEXT: [RegExp, ErrorCode][] = [
  [/\bmodel\b.*(not loaded|not found|does not exist)|no models? loaded/i, 'no-model-loaded'],
  [/\b(busy|overloaded|rate limit|too many requests)\b/i, 'lmx-busy'],
  [/\b(out of memory|insufficient memory)\b/i, 'lmx-out-of-memory'],
  [/\btimed? ?out\b/i, 'lmx-timeout'],
];

const byText = (text: string): ErrorCode | undefined => BY_TEXT.find(([pattern]) => pattern.test(text))?.[1];

const codeOf = ({ code, status, message = '' }: ServerFailure): ErrorCode => {
  const named = code === undefined ? undefined : BY_CODE[code.toLowerCase()];
  if (named) return named;
  if (status === undefined) return byText(message) ?? 'lmx-protocol';
  const listed = BY_STATUS[status];
  if (listed) return listed;
  // A 404 is a missing model only if the server says so; else it is a server without this route.
  if (status === 404 && byText(message) === 'no-model-loaded') return 'no-model-loaded';
  return status >= 400 && status < 500 ? 'lmx-request-rejected' : 'lmx-protocol';
};

const clip = (text: string): string => (text.length > 500 ? `${text.slice(0, 500)}…` : text);

/** `retryAfterMs` stands in the facts when the server gave a hint. */
export const fromServer = (failure: ServerFailure): OptaError => {
  const { status, retryAfterMs } = failure;
  const facts: ErrorFacts = {
    ...(status === undefined ? {} : { serverStatus: status }),
    ...(failure.code === undefined ? {} : { serverCode: clip(failure.code) }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, LIMITS.inferenceRetryAfterMsMax) }),
  };
  const text = failure.message?.trim() || (status === undefined ? 'no reason given' : `status ${status}`);
  return new OptaError(codeOf(failure), `The inference server answered: ${clip(text)}`, facts);
};

/** An error of a socket, of HTTP parsing or of WebSocket framing. */
export const fromSocket = (cause: unknown, where: string): OptaError => {
  if (cause instanceof OptaError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const message = cause instanceof Error ? cause.message : String(cause);
  const garbled = code.startsWith('HPE_') || code.startsWith('WS_ERR_');
  const known = BY_SOCKET[code] ?? (garbled ? 'lmx-protocol' : 'lmx-ws-closed');
  const said = known === 'lmx-connection-refused' ? `Nothing answers at ${where}` : `The connection to ${where} broke`;
  return new OptaError(known, `${said} (${code || clip(message)}).`, { ...(code ? { socketCode: code } : {}) });
};

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as { [name: string]: unknown })[name] : undefined;

const millis = (value: unknown, unitMs: number): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.round(value * unitMs) : undefined;

/** Reads the failure out of any of the body shapes in use: an error object, an error string, `detail` as text or list. */
export const failureOf = (body: unknown, status?: number): ServerFailure => {
  const inner = field(body, 'error') ?? field(body, 'detail') ?? body;
  const first = Array.isArray(inner) ? (inner[0] as unknown) : inner;
  const message = typeof first === 'string' ? first : (field(first, 'message') ?? field(first, 'msg'));
  const code = field(first, 'code') ?? field(body, 'code');
  const said =
    status ?? field(body, 'status') ?? field(first, 'status') ?? (typeof code === 'number' ? code : undefined);
  const after = millis(field(body, 'retry_after_ms') ?? field(first, 'retry_after_ms'), 1);
  const retryAfterMs = after ?? millis(field(first, 'retry_after'), 1000);
  return {
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof said === 'number' && said >= 400 && said < 600 ? { status: said } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
};

/** `Retry-After` in both of its forms, as milliseconds from `nowMs`. */
export const retryAfterOf = (header: string | undefined, nowMs: number): number | undefined => {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
};
