/**
 * The one error table. A code is what programs match on; nobody matches message text.
 *
 * `status` is the HTTP status, `close` the WebSocket close code where the error ends a socket,
 * `exit` the exit code of the CLI, and `retryable` says that the same request may succeed later unchanged.
 */
export const ERRORS = {
  unauthorized: { status: 401, retryable: false, exit: 1, close: 4001 },
  'forbidden-origin': { status: 403, retryable: false, exit: 1 },
  'forbidden-host': { status: 403, retryable: false, exit: 1 },
  /** An observer's token, or an attachment that came as an observer, asked for a change. */
  'read-only-token': { status: 403, retryable: false, exit: 77 },
  /** A ticket for the page that is unknown, used or too old. A new one: `opta web`. */
  'ticket-refused': { status: 401, retryable: false, exit: 1 },
  'missing-session': { status: 400, retryable: false, exit: 2, close: 4000 },
  'invalid-request': { status: 400, retryable: false, exit: 2 },
  'invalid-json': { status: 400, retryable: false, exit: 2 },
  'unsupported-media-type': { status: 415, retryable: false, exit: 2 },
  'payload-too-large': { status: 413, retryable: false, exit: 2, close: 1009 },
  'uri-too-long': { status: 414, retryable: false, exit: 2 },
  'not-found': { status: 404, retryable: false, exit: 127 },
  'session-not-found': { status: 404, retryable: false, exit: 127 },
  'permission-not-found': { status: 404, retryable: false, exit: 127 },
  'permission-resolved': { status: 409, retryable: false, exit: 1 },
  /** A turn needs a permission, and nobody is attached who may give it. */
  'permission-unattended': { status: 409, retryable: false, exit: 77 },
  'state-conflict': { status: 409, retryable: false, exit: 1 },
  /** The idempotency key was used for another request ([TQ5]). */
  'idempotency-mismatch': { status: 409, retryable: false, exit: 1 },
  'session-exists': { status: 409, retryable: false, exit: 1 },
  'session-deleted': { status: 410, retryable: false, exit: 127 },
  /** The session holds as many idempotency keys as it may. */
  'session-full': { status: 409, retryable: false, exit: 1 },
  'turn-not-queued': { status: 409, retryable: false, exit: 1 },
  'not-your-turn': { status: 403, retryable: false, exit: 77 },
  'session-busy': { status: 409, retryable: true, exit: 1 },
  'session-quarantined': { status: 503, retryable: false, exit: 1 },
  'queue-full': { status: 429, retryable: true, exit: 1 },
  'too-many-requests': { status: 429, retryable: true, exit: 1 },
  storage: { status: 507, retryable: true, exit: 1 },
  'storage-full': { status: 507, retryable: true, exit: 1 },
  'storage-read-only': { status: 507, retryable: true, exit: 1 },
  // Not retryable as they are: what timed out may have happened, and a second try could run a task twice ([AU3]). A submit with
  // its idempotency key may be sent again ([CL2]).
  'outcome-unknown': { status: 500, retryable: false, exit: 1 },
  'shutting-down': { status: 503, retryable: true, exit: 1 },
  timeout: { status: 504, retryable: false, exit: 1 },
  'slow-reader': { status: 503, retryable: true, exit: 1, close: 4008 },
  cancelled: { status: 409, retryable: false, exit: 130 },
  interrupted: { status: 500, retryable: true, exit: 1 },
  internal: { status: 500, retryable: false, exit: 1 },
  // Turn outcomes that come from inference. The first four names are the reference's.
  'no-model-loaded': { status: 503, retryable: true, exit: 3 },
  'lmx-connection-refused': { status: 503, retryable: true, exit: 3 },
  'lmx-timeout': { status: 504, retryable: true, exit: 1 },
  'lmx-ws-closed': { status: 502, retryable: true, exit: 1 },
  'lmx-unauthorized': { status: 502, retryable: false, exit: 3 },
  'lmx-untrusted': { status: 502, retryable: false, exit: 3 },
  'lmx-busy': { status: 503, retryable: true, exit: 1 },
  'lmx-out-of-memory': { status: 507, retryable: true, exit: 1 },
  'lmx-protocol': { status: 502, retryable: true, exit: 1 },
  'lmx-request-rejected': { status: 502, retryable: false, exit: 1 },
  /** An OpenAI-compatible server that is no LMX: its models are loaded and unloaded by other means. */
  'lmx-no-admin': { status: 404, retryable: false, exit: 1 },
  /** The host on which this runs may not do this (docs/OPERATIONS.md, host policy). */
  'host-policy': { status: 403, retryable: false, exit: 77 },
  'background-not-found': { status: 404, retryable: false, exit: 127 },
  'background-failed': { status: 500, retryable: false, exit: 1 },
  'loopback-only': { status: 403, retryable: false, exit: 3 },
  /** The keyring of the system was to be used and cannot be. */
  'keyring-unavailable': { status: 503, retryable: true, exit: 1 },
  /** A server of tools could not be started, reached or understood. */
  'mcp-failed': { status: 502, retryable: true, exit: 1 },
  'nothing-to-undo': { status: 404, retryable: false, exit: 1 },
  'undo-conflict': { status: 409, retryable: false, exit: 1 },
  'budget-exceeded': { status: 500, retryable: false, exit: 1 },
  stagnation: { status: 500, retryable: false, exit: 1 },
  'context-exhausted': { status: 500, retryable: false, exit: 1 },
  // Tool outcomes.
  'tool-unknown': { status: 400, retryable: false, exit: 1 },
  'tool-failed': { status: 500, retryable: false, exit: 1 },
  'tool-timeout': { status: 504, retryable: false, exit: 1 },
  'outside-workspace': { status: 403, retryable: false, exit: 1 },
  // The CLI's own.
  'daemon-unreachable': { status: 503, retryable: true, exit: 1 },
  /** Made by clients: after a power cut the log no longer has what was seen. */
  'log-rewound': { status: 409, retryable: true, exit: 1 },
  /** A known word of other versions; the message says why it is not here, and what to do instead. */
  'not-in-this-build': { status: 501, retryable: false, exit: 1 },
  'daemon-already-running': { status: 409, retryable: false, exit: 1 },
  'no-port': { status: 503, retryable: true, exit: 1 },
  /** `opta do --json-schema`: the turn was done, but its answer is not what was asked for. */
  'schema-mismatch': { status: 422, retryable: false, exit: 1 },
  'no-service-manager': { status: 501, retryable: false, exit: 1 },
} as const satisfies Record<string, ErrorRow>;

interface ErrorRow {
  status: number;
  retryable: boolean;
  exit: number;
  close?: number;
}

export type ErrorCode = keyof typeof ERRORS;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);
export const errorRow = (code: ErrorCode): ErrorRow => ERRORS[code];

/** Extra facts of an error, for programs: `details` (schema issues), `seq` and `revision` (conflicts), `retryAfterMs` … */
export type ErrorFacts = { [name: string]: unknown };

export class OptaError extends Error {
  override readonly name = 'OptaError';
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message);
    this.code = code;
    this.facts = facts;
  }
}

/**
 * A failure that goes out under a status and a code which this table does not hold: another server's own words, or those of an
 * older contract. The table still classes it: `code` gives `retryable` and the exit code, and stands in the body as `cause` when the
 * two differ.
 */
export class QuotedError extends OptaError {
  readonly quoted: { status: number; code: string };

  constructor(code: ErrorCode, message: string, quoted: { status: number; code: string }, facts: ErrorFacts = {}) {
    super(code, message, facts);
    this.quoted = quoted;
  }
}

export const errorStatus = (e: OptaError): number =>
  e instanceof QuotedError ? e.quoted.status : errorRow(e.code).status;

export const toOptaError = (cause: unknown): OptaError =>
  cause instanceof OptaError
    ? cause
    : new OptaError(
        isDiskFull(cause) ? 'storage-full' : 'internal',
        cause instanceof Error ? cause.message : String(cause),
      );

const isDiskFull = (cause: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(String((cause as { code?: unknown } | null)?.code));

/** The body of every failed answer on both planes. `error` is for people and for clients older than `code`. */
export interface ErrorBody {
  error: string;
  /** An `ErrorCode`, unless `cause` is there and holds it. */
  code: string;
  retryable: boolean;
  details?: unknown;
  [fact: string]: unknown;
}

export const errorBody = (e: OptaError): ErrorBody => ({
  error: e.message,
  ...(e instanceof QuotedError && e.quoted.code !== e.code ? { code: e.quoted.code, cause: e.code } : { code: e.code }),
  retryable: errorRow(e.code).retryable,
  ...e.facts,
});
