import { type Envelope, recordOf } from '../../../protocol/envelope.ts';
import type { LogRecord } from '../../../protocol/events.ts';
import { emptySession, fold, type SessionState } from '../../../protocol/session-state.ts';

/** Reads committed events after a cursor, at most `limit`, oldest first. */
export type ReadEvents = (
  afterSeq: number,
  limit: number,
  signal: AbortSignal,
) => Promise<{ events: readonly Envelope[] }>;

/** A session as it was when its event `record` had been folded; `record` is null before the first. */
export interface Moment {
  seq: number;
  record: LogRecord | null;
  state: SessionState;
}

/** Where something begins or ends that people look for. */
export type MarkKind = 'turn' | 'ask' | 'end' | 'error';
export interface Mark {
  seq: number;
  kind: MarkKind;
}

export const PAGE_EVENTS = 1_000;
/** Events that one `readOn` takes in. */
export const READ_ON_EVENTS = 10_000;
/** Pages that are kept; the others are read again when somebody goes there. */
export const PAGES_MAX = 8;
export const MARKS_MAX = 5_000;

/**
 * The log of one session, to be leafed through. A state is a fold from the first event, so reading goes from the start, a bounded
 * number of events each time; of what was read the state before each page is kept, which shares most of itself with its neighbours,
 * and the events of a few pages.
 */
export class LogBook {
  readonly #read: ReadEvents;
  /** The state before the first event of each page. */
  readonly #before: SessionState[];
  readonly #pages = new Map<number, readonly LogRecord[]>();
  readonly marks: Mark[] = [];
  /** The last event that was read. */
  head = 0;
  /** Whether the log had no more when it was read last. */
  atEnd = false;

  constructor(sessionId: string, read: ReadEvents) {
    this.#read = read;
    this.#before = [emptySession(sessionId)];
  }

  /** Takes in the next events. Throws what `read` throws; what was read until then stays. */
  async readOn(signal: AbortSignal, events = READ_ON_EVENTS): Promise<void> {
    const until = this.head + events;
    this.atEnd = false;
    while (this.head < until && !this.atEnd) {
      const page = Math.floor(this.head / PAGE_EVENTS);
      const records = await this.#page(page, signal);
      const fresh = records.slice(this.head - page * PAGE_EVENTS);
      for (const record of fresh) this.#mark(record);
      this.head += fresh.length;
      const isFull = records.length === PAGE_EVENTS;
      if (isFull) this.#before[page + 1] = foldFrom(this.#before[page] as SessionState, records, records.length);
      else this.atEnd = true;
    }
  }

  /** `seq` is brought within what was read. */
  async at(seq: number, signal: AbortSignal): Promise<Moment> {
    const wanted = Math.min(Math.max(0, Math.floor(seq)), this.head);
    if (wanted === 0) return { seq: 0, record: null, state: this.#before[0] as SessionState };
    const page = Math.floor((wanted - 1) / PAGE_EVENTS);
    const count = wanted - page * PAGE_EVENTS;
    const kept = this.#pages.get(page);
    const records = kept && kept.length >= count ? kept : await this.#page(page, signal);
    this.#touch(page, records);
    const record = records[count - 1];
    if (!record) throw new Error(`event ${wanted} is not in the log any more`);
    return { seq: wanted, record, state: foldFrom(this.#before[page] as SessionState, records, count) };
  }

  /** The events of a page, and no hole among them: a picture with a hole is worse than none ([EV2]). */
  async #page(page: number, signal: AbortSignal): Promise<readonly LogRecord[]> {
    const first = page * PAGE_EVENTS;
    const records: LogRecord[] = [];
    for (;;) {
      const { events } = await this.#read(first + records.length, PAGE_EVENTS - records.length, signal);
      for (const event of events) {
        const expected = first + records.length + 1;
        if (event.seq !== expected) throw new Error(`event ${event.seq} stands where ${expected} belongs`);
        records.push(recordOf(event));
      }
      // An answer has a bound in bytes too, so it may be short of the page without being the last.
      if (events.length === 0 || records.length >= PAGE_EVENTS) break;
    }
    this.#touch(page, records);
    return records;
  }

  #touch(page: number, records: readonly LogRecord[]): void {
    this.#pages.delete(page);
    this.#pages.set(page, records);
    if (this.#pages.size > PAGES_MAX) this.#pages.delete(this.#pages.keys().next().value as number);
  }

  #mark(record: LogRecord): void {
    const kind = KINDS[record.event];
    if (kind === undefined || this.marks.length >= MARKS_MAX) return;
    const calm = record.event === 'turn.error' && record.payload.outcome !== 'error';
    this.marks.push({ seq: record.seq, kind: calm ? 'end' : kind });
  }
}

const KINDS: { readonly [event: string]: MarkKind | undefined } = {
  'turn.start': 'turn',
  'permission.request': 'ask',
  'turn.done': 'end',
  'turn.error': 'error',
};

const foldFrom = (from: SessionState, records: readonly LogRecord[], count: number): SessionState => {
  let state = from;
  for (let i = 0; i < count; i++) state = fold(state, records[i] as LogRecord);
  return state;
};

/** The mark before or after a place, or null. */
export const nextMark = (marks: readonly Mark[], seq: number, step: 1 | -1): Mark | null =>
  (step === 1 ? marks.find((m) => m.seq > seq) : marks.findLast((m) => m.seq < seq)) ?? null;
