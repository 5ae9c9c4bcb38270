import type { HttpResponse } from 'uWebSockets.js';
import { BodyStream } from '../body-stream.ts';
import type { StreamEnd } from '../port.ts';
import type { ExchangePool } from './exchange.ts';

/** The library is given no more than this at once, so that most of a backlog waits here, where it is counted. */
const PIECE_BYTES = 64 * 1024;
/** After a refusal a small piece asks whether there is room again: what is refused is kept by the library all the same. */
const ASK_BYTES = 1024;

/**
 * The body of one answer. The library says in the result of a write that it had to keep something, and by `onWritable` that there
 * is room again; whoever listens to that has to make it write its rest, which an empty cork does.
 *
 * Less than a piece may lie in the library without being counted: of a small write it tells only at the next one.
 */
export class UwsStream extends BodyStream {
  readonly #res: HttpResponse;
  readonly #over: () => void;
  #queue: Buffer[] = [];
  #queueBytes = 0;
  /** Bytes of the piece that the library did not get rid of; while there are any, nothing follows. */
  #heldBytes = 0;
  #asking = false;

  /** `over` is called when the whole body is with the library. */
  constructor(res: HttpResponse, pool: ExchangePool, end: StreamEnd, over: () => void) {
    super(pool, end);
    this.#res = res;
    this.#over = over;
    res.onWritable(() => {
      // Never write in here: see `UwsSocket.drained`.
      setImmediate(this.#goOn);
      return true;
    });
  }

  end(): void {
    if (!this.open || this.ending) return;
    this.ending = true;
    this.flush();
  }

  cut(): void {
    if (this.open) this.#res.close();
  }

  override closed(): void {
    this.#queue = [];
    super.closed();
  }

  protected backlog(): number {
    return this.out.bytes + this.#queueBytes + this.#heldBytes;
  }

  protected flush(): void {
    if (!this.open) return;
    const text = this.out.take().join('');
    if (text !== '') {
      const bytes = Buffer.from(text);
      this.#queue.push(bytes);
      this.#queueBytes += bytes.byteLength;
    }
    if (this.#heldBytes === 0) this.#pump();
    if (this.watched && this.backlog() === 0) setImmediate(this.tellDrained);
  }

  readonly #goOn = (): void => {
    if (!this.open) return;
    this.#heldBytes = 0;
    this.#asking = true;
    this.#pump();
    this.tellDrained();
  };

  #pump(): void {
    this.#res.cork(() => {
      for (let piece = this.#next(); piece; piece = this.#next()) {
        if (this.#res.write(piece)) this.#asking = false;
        else this.#heldBytes = piece.byteLength;
      }
    });
    if (!this.ending || this.backlog() > 0) return;
    // Never with the library's `closeConnection`: it writes that header into the middle of the body.
    this.#res.cork(() => this.#res.end());
    this.#over();
  }

  #next(): Buffer | null {
    const first = this.#queue[0];
    if (!first || this.#heldBytes > 0) return null;
    const piece = first.subarray(0, this.#asking ? ASK_BYTES : PIECE_BYTES);
    if (piece.byteLength === first.byteLength) this.#queue.shift();
    else this.#queue[0] = first.subarray(piece.byteLength);
    this.#queueBytes -= piece.byteLength;
    return piece;
  }
}
