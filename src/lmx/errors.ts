/**
 * The errors of the inference server's own wire: one envelope, `{error: {message, type, code, param}}`, on every route, and the
 * same code on a WebSocket. `status` is the HTTP status; `retryable` says that the same request may succeed a little later.
 */
const ROWS = {
  invalid_request: { status: 400, retryable: false, type: 'invalid_request_error' },
  invalid_json: { status: 400, retryable: false, type: 'invalid_request_error' },
  invalid_header: { status: 400, retryable: false, type: 'invalid_request_error' },
  not_supported: { status: 400, retryable: false, type: 'invalid_request_error' },
  context_length_exceeded: { status: 400, retryable: false, type: 'invalid_request_error' },
  unauthorized: { status: 401, retryable: false, type: 'authentication_error' },
  forbidden: { status: 403, retryable: false, type: 'permission_error' },
  downloads_disabled: { status: 403, retryable: false, type: 'permission_error' },
  not_found: { status: 404, retryable: false, type: 'not_found_error' },
  model_not_found: { status: 404, retryable: false, type: 'not_found_error' },
  download_not_found: { status: 404, retryable: false, type: 'not_found_error' },
  token_not_found: { status: 404, retryable: false, type: 'not_found_error' },
  request_not_found: { status: 404, retryable: false, type: 'not_found_error' },
  method_not_allowed: { status: 405, retryable: false, type: 'invalid_request_error' },
  model_in_use: { status: 409, retryable: false, type: 'conflict_error' },
  model_unstable: { status: 409, retryable: false, type: 'conflict_error' },
  model_load_timeout: { status: 409, retryable: false, type: 'conflict_error' },
  model_loader_crashed: { status: 409, retryable: false, type: 'conflict_error' },
  model_canary_failed: { status: 409, retryable: false, type: 'conflict_error' },
  payload_too_large: { status: 413, retryable: false, type: 'invalid_request_error' },
  rate_limit_exceeded: { status: 429, retryable: true, type: 'rate_limit_error' },
  too_many_requests: { status: 429, retryable: true, type: 'rate_limit_error' },
  internal_error: { status: 500, retryable: false, type: 'server_error' },
  engine_failed: { status: 502, retryable: false, type: 'server_error' },
  overloaded: { status: 503, retryable: true, type: 'server_error' },
  engine_unavailable: { status: 503, retryable: true, type: 'server_error' },
  shutting_down: { status: 503, retryable: true, type: 'server_error' },
  timeout: { status: 504, retryable: false, type: 'server_error' },
  insufficient_memory: { status: 507, retryable: false, type: 'server_error' },
} as const;

export type LmxErrorCode = keyof typeof ROWS;

export class LmxError extends Error {
  readonly code: LmxErrorCode;
  /** The member of the request that is meant. */
  readonly param: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: LmxErrorCode, message: string, more: { param?: string; retryAfterMs?: number } = {}) {
    super(message);
    this.name = 'LmxError';
    this.code = code;
    this.param = more.param ?? null;
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  get status(): number {
    return ROWS[this.code].status;
  }

  get retryable(): boolean {
    return ROWS[this.code].retryable;
  }

  get type(): string {
    return ROWS[this.code].type;
  }
}

/** The body of a refusal. `detail` is for administration clients of old, which read nothing else. */
export const envelope = (error: LmxError) => ({
  error: { message: error.message, type: error.type, code: error.code, param: error.param },
  detail: error.message,
});

/** Whatever was thrown, as an error of this wire. What is not ours is an `internal_error` without its text: that is for the log. */
export const toLmxError = (cause: unknown): LmxError =>
  cause instanceof LmxError ? cause : new LmxError('internal_error', 'The inference server failed at this request.');

/** How everything here answers: once, and not in the asker's stack. */
export type LmxDone<T = void> = (error: LmxError | null, value: T) => void;
