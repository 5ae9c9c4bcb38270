import { WebSocket } from 'ws';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import type { EventName, LogRecord } from '../../src/protocol/events.ts';

/** A plain client of the event plane that keeps every frame as the bytes that came. It corrects nothing. */
export interface Answer {
  type?: string;
  error?: string;
  code?: string;
  requestId?: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are compared field by field.
  [field: string]: any;
}

type Named<N extends EventName> = Extract<LogRecord, { event: N }>;

const WAIT_MS = 10_000;
const FRAME_BYTES_MAX = 64 << 20;

export class TestSocket {
  /** Envelopes, in the order in which they came, as text. */
  readonly frames: string[] = [];
  readonly records: LogRecord[] = [];
  /** Acks, errors and heartbeats. */
  readonly answers: Answer[] = [];
  readonly opened: Promise<void>;
  /** Settles with the close code; never rejects. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** HTTP status of a refused upgrade. */
  refusedWith: number | null = null;
  onRecord: ((record: LogRecord, text: string) => void) | null = null;
  onAnswer: ((answer: Answer) => void) | null = null;
  readonly #ws: WebSocket;
  readonly #watchers = new Set<() => void>();
  #serial = 0;
  #over = false;

  constructor(url: string, headers: { [name: string]: string }) {
    this.#ws = new WebSocket(url, { headers, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX });
    this.#ws.on('message', (data) => this.#take(data.toString()));
    this.#ws.on('unexpected-response', (_req, res) => {
      this.refusedWith = res.statusCode ?? 0;
      res.resume();
      this.#ws.terminate();
    });
    this.opened = new Promise((resolve, reject) => {
      this.#ws.once('open', resolve);
      this.#ws.once('error', reject);
      this.#ws.once('close', () => reject(new Error(`the socket was closed; upgrade status ${this.refusedWith}`)));
    });
    // Whoever does not wait for the opening looks at `closed`.
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.#ws.once('close', (code, reason) => {
        this.#over = true;
        resolve({ code, reason: reason.toString('utf8') });
        this.#look();
      });
    });
    this.#ws.on('error', () => this.#ws.terminate());
  }

  get cursor(): number {
    return this.records.at(-1)?.seq ?? 0;
  }

  send(frame: object | string): void {
    if (this.#ws.readyState === WebSocket.OPEN)
      this.#ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Sends a command and waits for the ack or error that repeats its id. Rejects when the socket closes first. */
  async ask(frame: { type: string; [field: string]: unknown }, deadlineMs = WAIT_MS): Promise<Answer> {
    const id = `ask_${++this.#serial}`;
    this.send({ ...frame, [frame.type === 'permission.resolve' ? 'ackId' : 'requestId']: id });
    let found: Answer | undefined;
    await this.wait(
      `the answer to ${frame.type}`,
      () => {
        found = this.answers.find((a) => a.requestId === id);
        return found !== undefined;
      },
      deadlineMs,
    );
    return found as Answer;
  }

  /** The first record of this name, seen already or still to come, that fits. */
  async record<N extends EventName>(
    name: N,
    fits: (payload: Named<N>['payload']) => boolean = () => true,
    deadlineMs = WAIT_MS,
  ): Promise<Named<N>> {
    let next = 0;
    let found: Named<N> | undefined;
    await this.wait(
      `${name}`,
      () => {
        for (; next < this.records.length; next++) {
          const r = this.records[next] as LogRecord;
          if (r.event === name && fits(r.payload as Named<N>['payload'])) {
            found = r as Named<N>;
            return true;
          }
        }
        return false;
      },
      deadlineMs,
    );
    return found as Named<N>;
  }

  terminal(turnId: string, deadlineMs = WAIT_MS): Promise<LogRecord> {
    return this.first(`the end of ${turnId}`, (r) => isEnd(r) && r.payload.turnId === turnId, deadlineMs);
  }

  async first(what: string, fits: (record: LogRecord) => boolean, deadlineMs = WAIT_MS): Promise<LogRecord> {
    let found: LogRecord | undefined;
    let next = 0;
    await this.wait(
      what,
      () => {
        for (; next < this.records.length && !found; next++) {
          const r = this.records[next] as LogRecord;
          if (fits(r)) found = r;
        }
        return found !== undefined;
      },
      deadlineMs,
    );
    return found as LogRecord;
  }

  wait(what: string, holds: () => boolean, deadlineMs = WAIT_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(late);
        this.#watchers.delete(look);
        if (error) reject(error);
        else resolve();
      };
      const look = (): void => {
        if (holds()) finish();
        else if (this.#over) finish(new Error(`the socket closed before ${what}`));
      };
      const late = setTimeout(
        () => finish(new Error(`not within ${deadlineMs} ms: ${what}${this.#tail()}`)),
        deadlineMs,
      );
      this.#watchers.add(look);
      look();
    });
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  close(): void {
    this.#ws.close(1000);
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #take(text: string): void {
    const frame = JSON.parse(text) as Answer;
    if (typeof frame.event === 'string' && frame.type !== 'heartbeat') {
      const { record } = decodeEnvelope(text);
      this.frames.push(text);
      this.records.push(record);
      this.onRecord?.(record, text);
    } else {
      this.answers.push(frame);
      this.onAnswer?.(frame);
    }
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#watchers]) look();
  }

  #tail(): string {
    const last = this.records.slice(-5).map((r) => `${r.seq} ${r.event}`);
    return `; the last records: ${last.join(', ')}`;
  }
}

const isEnd = (r: LogRecord): r is Named<'turn.done'> | Named<'turn.error'> =>
  r.event === 'turn.done' || r.event === 'turn.error';
