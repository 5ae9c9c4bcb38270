import { LIMITS } from '../actors/limits.ts';
import { errorBody, OptaError } from '../protocol/errors.ts';
import { EVENT_STREAM } from '../protocol/operations/operation.ts';
import type { Timers } from './ask.ts';
import type { StreamAnswer } from './dispatch.ts';
import type { ResponseStream, StreamEnd } from './port.ts';

const HEAD = [
  ['cache-control', 'no-cache, no-transform'],
  // Told to proxies: each event is to leave at once.
  ['x-accel-buffering', 'no'],
] as const;

export type SseAnswer = StreamAnswer & { headers: typeof HEAD };

/**
 * The event streams that are open. Their number is bounded, each is pinged, one whose client takes nothing is cut, and all of
 * them end when the server does ([SV2], [SV3]).
 */
export class SseStreams {
  readonly #timers: Timers;
  readonly #open = new Set<SseStream>();
  #closed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Backlog of the fullest. */
  get bytesMax(): number {
    return Math.max(0, ...[...this.#open].map((s) => s.bufferedBytes()));
  }

  /** An answer that `run` writes. Throws `too-many-requests`. */
  answer(run: (stream: SseStream) => StreamEnd): SseAnswer {
    if (this.#open.size >= LIMITS.streamsMax) {
      throw new OptaError('too-many-requests', `There are ${this.#open.size} event streams already`);
    }
    return { type: EVENT_STREAM, headers: HEAD, open: (out) => this.#begin(out, run) };
  }

  /** Ends all that are open, and whatever was on its way to being opened. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#open) stream.end(stopping());
  }

  #begin(out: ResponseStream, run: (stream: SseStream) => StreamEnd): StreamEnd {
    const stream = new SseStream(out, this.#timers);
    const gone = (): void => {
      stream.stop();
      this.#open.delete(stream);
    };
    this.#open.add(stream);
    try {
      const end = run(stream);
      if (this.#closed) stream.end(stopping());
      return {
        drain: () => end.drain(),
        closed: () => {
          gone();
          end.closed();
        },
      };
    } catch (fault) {
      gone();
      throw fault;
    }
  }
}

const stopping = (): OptaError => new OptaError('shutting-down', 'The daemon is stopping.');

/** One event stream. What is written to it are whole events; JSON text has no line break, so it is one `data` line. */
export class SseStream {
  readonly #out: ResponseStream;
  readonly #timers: Timers;
  #timer: unknown;
  #over = false;
  /** Backlog at the last ping, and how often it was no smaller than at the one before. */
  #backlog = 0;
  #stuck = 0;

  constructor(out: ResponseStream, timers: Timers) {
    this.#out = out;
    this.#timers = timers;
    out.write(': connected\n\n');
    this.#schedule();
  }

  /** Unnamed, since existing clients listen to nothing else. */
  message(json: string, id?: number): void {
    if (!this.#over) this.#out.write(`${id === undefined ? '' : `id: ${id}\n`}data: ${json}\n\n`);
  }

  error(error: OptaError): void {
    if (!this.#over) this.#out.write(`event: error\ndata: ${JSON.stringify(errorBody(error))}\n\n`);
  }

  bufferedBytes(): number {
    return this.#over ? 0 : this.#out.bufferedBytes();
  }

  /** Tells why and ends; where there is no room for that, or nobody takes it, the connection is cut. */
  end(error: OptaError): void {
    if (this.#over) return;
    if (this.#out.bufferedBytes() > LIMITS.readerBytesMax) {
      this.#out.cut();
      return;
    }
    this.error(error);
    this.stop();
    this.#timer = this.#timers.setTimeout(() => this.#out.cut(), LIMITS.drainDeadlineMs);
    this.#out.end();
  }

  /** Nothing is written and nothing is waited for any more. */
  stop(): void {
    this.#over = true;
    this.#timers.clearTimeout(this.#timer);
  }

  #schedule(): void {
    this.#timer = this.#timers.setTimeout(() => this.#ping(), LIMITS.streamPingMs);
  }

  #ping(): void {
    const backlog = this.#out.bufferedBytes();
    this.#stuck = backlog > 0 && backlog >= this.#backlog ? this.#stuck + 1 : 0;
    this.#backlog = backlog;
    if (this.#stuck * LIMITS.streamPingMs >= LIMITS.readerStallMs) {
      this.#out.cut();
      return;
    }
    // A ping proves life to a client that waits; one that has bytes to take needs none.
    if (backlog === 0) this.#out.write(': ping\n\n');
    this.#schedule();
  }
}
