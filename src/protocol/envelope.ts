import { z } from 'zod';
import { EVENTS, isEventName, type LogRecord } from './events.ts';

export const PROTOCOL_VERSION = '3';
/** What this daemon can do beyond the v3 base; a client asks before it relies on one. */
export const CAPABILITIES = ['idempotency', 'queue', 'steer', 'presence', 'snapshot', 'observer'] as const;
export const CONTRACT = { name: 'opta-daemon-v3', version: 1 } as const;

export const EnvelopeSchema = z.object({
  v: z.literal(PROTOCOL_VERSION),
  event: z.string(),
  daemonId: z.string(),
  sessionId: z.string(),
  seq: z.number().int().positive(),
  ts: z.string(),
  payload: z.unknown(),
});
export type Envelope = z.infer<typeof EnvelopeSchema>;

/**
 * Encodes a record once. These bytes are stored, published and replayed, so the three can never differ ([EV3]).
 * `daemonId` is the daemon that recorded the event, so a client sees a restart in the log itself.
 */
export const encodeEnvelope = (daemonId: string, sessionId: string, record: LogRecord): string =>
  JSON.stringify({
    v: PROTOCOL_VERSION,
    event: record.event,
    daemonId,
    sessionId,
    seq: record.seq,
    ts: record.ts,
    payload: record.payload,
  });

/** Parses stored or received text. Throws on what is not an envelope of this version. */
export const decodeEnvelope = (text: string): Envelope & { record: LogRecord } => {
  const e = EnvelopeSchema.parse(JSON.parse(text));
  return { ...e, record: recordOf(e) };
};

export const recordOf = ({ event, payload, seq, ts }: Envelope): LogRecord =>
  ({ event, payload, seq, ts }) as LogRecord;

/** Checks an outgoing record against the event table; used in tests, the simulator and development. */
export const checkRecord = (record: LogRecord): void => {
  if (!isEventName(record.event)) throw new Error(`unknown event ${String((record as LogRecord).event)}`);
  EVENTS[record.event].parse(record.payload);
};
