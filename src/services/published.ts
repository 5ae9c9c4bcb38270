import type { StoredRecord } from '../actors/ports.ts';
import { decodeEnvelope } from '../protocol/envelope.ts';
import type { EventName, LogRecord } from '../protocol/events.ts';

/**
 * Those of these events, for whoever is told of what was committed. The name is looked for at the beginning of a record, where no text of a
 * model can stand, so that the others are not parsed.
 */
export const recordsOf = <N extends EventName>(
  records: readonly StoredRecord[],
  names: readonly N[],
): Extract<LogRecord, { event: N }>[] =>
  records.flatMap(({ text }) =>
    names.some((name) => text.startsWith(`{"v":"3","event":"${name}"`))
      ? [decodeEnvelope(text).record as Extract<LogRecord, { event: N }>]
      : [],
  );
