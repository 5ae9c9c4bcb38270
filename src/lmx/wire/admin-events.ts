import type { Clock } from '../../actors/ports.ts';
import type { Exchange, ResponseStream } from '../../transport/port.ts';
import { LmxError } from '../errors.ts';
import type { Gateway } from '../gateway.ts';
import type { LmxLimits } from '../limits.ts';

/** `GET /admin/events`: what happens to models and requests, as named events, for a bounded number of listeners. */
export class AdminEvents {
  readonly #gateway: Gateway;
  readonly #clock: Clock;
  readonly #limits: LmxLimits;
  readonly #open = new Set<ResponseStream>();

  constructor(gateway: Gateway, clock: Clock, limits: LmxLimits) {
    this.#gateway = gateway;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Throws `too_many_requests`. */
  answer(exchange: Exchange, cors: readonly [string, string][]): void {
    if (this.#open.size >= this.#limits.eventStreamsMax)
      throw new LmxError('too_many_requests', `There are ${this.#open.size} listeners already.`);
    let stop = (): void => undefined;
    const out = exchange.stream(
      {
        status: 200,
        headers: [
          ['content-type', 'text/event-stream; charset=utf-8'],
          ['cache-control', 'no-cache, no-transform'],
          ...cors,
        ],
      },
      { drain: () => undefined, closed: () => stop() },
    );
    if (!out) return;
    this.#open.add(out);
    const write = (type: string, data: object): void => {
      out.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
      rest();
    };
    let timer: unknown;
    const rest = (): void => {
      this.#clock.clearTimeout(timer);
      timer = this.#clock.setTimeout(
        () => write('heartbeat', { timestamp: this.#clock.now() / 1_000 }),
        this.#limits.heartbeatMs,
      );
    };
    const unsubscribe = this.#gateway.subscribe(({ type, ...data }) => {
      // A listener that does not keep up is told by the end of its stream, not by a gap in it.
      if (out.bufferedBytes() > this.#limits.backlogBytes) out.cut();
      else write(type, data);
    });
    stop = () => {
      this.#clock.clearTimeout(timer);
      unsubscribe();
      this.#open.delete(out);
    };
    write('heartbeat', { timestamp: this.#clock.now() / 1_000 });
  }

  close(): void {
    for (const out of [...this.#open]) out.end();
  }
}
