import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { SessionIdSchema } from '../ids.ts';

/** One row of the operation table. */
export interface Operation {
  summary: string;
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** `:name` marks a parameter. The first path is the documented one, the others are kept for older clients. */
  paths: readonly [string, ...string[]];
  /** Answered without a token. Everything else needs one ([AC1]). */
  open?: true;
  params: z.ZodType;
  query: z.ZodType;
  body: z.ZodType | null;
  /** What a wrong body is called; `Invalid request body` unless existing clients know another wording. */
  bodyFault?: string;
  /** The one field that `bodyFault` speaks of, or its absence; what is wrong with another field is called as usual. */
  bodyFaultField?: string;
  /** The body is JSON whatever its content type says: `curl -d` calls everything a form. */
  looseType?: true;
  /** Answered when a turn ends, however long that takes: no measure of the daemon. */
  waits?: true;
  /** A JSON `null` counts as `{}`. */
  nullIsEmpty?: true;
  /**
   * Request headers that count as fields: header (lower case) → field of the body when the operation has one, else of the query.
   * A field that is given both ways must be the same.
   */
  headers?: { readonly [header: string]: string };
  /** Status of success. */
  status: 200 | 201 | 202;
  response: z.ZodType;
  /** What the answer is when it is not one JSON value: an event stream, or text of this media type. */
  media?: string;
  /** Status of every failure that is not one of `COMMON_ERRORS`: a probe looks at nothing else. */
  failureStatus?: 503;
  /** Codes that this operation adds to `COMMON_ERRORS`. */
  errors: readonly ErrorCode[];
  /** Where failures may stand that are `QuotedError`s: under another status than their code has, or in another server's words. */
  quotes?: readonly ('4XX' | '502' | '503')[];
  /** A failure may be told in the operation's own `response`, under a status of failure. */
  failsInResponse?: true;
  /** `read`: may be repeated at will, also with an observer's token. `write`: changes something. */
  safety: 'read' | 'write';
}

/** Any operation may answer these. */
export const COMMON_ERRORS = [
  'unauthorized',
  'forbidden-host',
  'forbidden-origin',
  'invalid-request',
  'payload-too-large',
  'uri-too-long',
  'too-many-requests',
  'shutting-down',
  'timeout',
  'internal',
] as const satisfies readonly ErrorCode[];

/** Any operation that changes something may answer these too. */
export const WRITE_ERRORS = [
  'read-only-token',
  'invalid-json',
  'unsupported-media-type',
  'session-quarantined',
  'storage',
  'storage-full',
  'storage-read-only',
  'outcome-unknown',
] as const satisfies readonly ErrorCode[];

export const none = z.object({});
export const session = z.object({ id: SessionIdSchema });

/** Query values are text; a number is digits and nothing else, so `1e3`, `-1` and `NaN` are refused. */
export const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().int().min(min).max(max));

/** A cursor that is no whole number counts as absent: existing clients send `NaN` after a frame without `seq`. */
export const cursorOf = (text: string | null | undefined): number | undefined =>
  /^\d{1,15}$/.test(text ?? '') ? Number(text) : undefined;
export const cursor = z.string().optional().transform(cursorOf);

export const EVENT_STREAM = 'text/event-stream';

export const read = {
  method: 'GET',
  params: none,
  query: none,
  body: null,
  status: 200,
  errors: [],
  safety: 'read',
} as const;
export const readSession = { ...read, params: session, errors: ['session-not-found'] } as const;
/** A command to one session. */
export const writeSession = {
  method: 'POST',
  params: session,
  query: none,
  status: 200,
  errors: [...WRITE_ERRORS, 'session-not-found'],
  safety: 'write',
} as const;
