import type { Attachment, Reader } from '../../actors/runtime.ts';
import { type ErrorCode, OptaError, toOptaError } from '../../protocol/errors.ts';
import type { OperationInput } from '../../protocol/operations.ts';
import type { StreamEnd } from '../port.ts';
import type { SseAnswer, SseStream } from '../sse.ts';
import type { HandlerDeps } from './deps.ts';

/**
 * The read-only form of the event plane: one session's events over HTTP. It is an attachment like a socket, so replay, live and
 * slow readers are the runtime's business; an observer by nature, since nothing can be sent to the daemon this way.
 */
export const eventStream = (deps: HandlerDeps, query: OperationInput<'events.stream'>['query']): SseAnswer =>
  deps.streams.answer((stream) => {
    const reader = new StreamReader(stream, query.lastEventId ?? query.afterSeq ?? 0);
    reader.attach(deps, query.sessionId);
    return reader;
  });

class StreamReader implements Reader, StreamEnd {
  readonly #stream: SseStream;
  /** Last `seq` that was written. */
  #seq: number;
  #attachment: Attachment | null = null;
  #open = true;

  constructor(stream: SseStream, afterSeq: number) {
    this.#stream = stream;
    this.#seq = afterSeq;
  }

  attach(deps: HandlerDeps, sessionId: string): void {
    try {
      const attachment = deps.runtime.attach(sessionId, this.#seq, this, { role: 'observer', via: 'sse' });
      // The runtime may have closed this end before it gave the attachment out.
      if (this.#open) this.#attachment = attachment;
      else attachment.detach();
    } catch (fault) {
      if (!(fault instanceof OptaError)) throw fault;
      const { code, message } = toOptaError(fault);
      this.close(code, message);
    }
  }

  // --- what the runtime calls

  send(frame: string): void {
    if (!this.#open) return;
    this.#seq += 1;
    // [EV2] The two count apart. If they ever differ something was skipped, and the client is better off with its own cursor.
    if ((this.#attachment?.cursor ?? this.#seq) === this.#seq) this.#stream.message(frame, this.#seq);
    else this.close('internal', `The stream lost its place after seq ${this.#seq - 1}; resume there.`);
  }

  bufferedBytes(): number {
    return this.#stream.bufferedBytes();
  }

  warn(code: ErrorCode, message: string): void {
    this.#stream.error(new OptaError(code, message));
  }

  close(code: ErrorCode, message: string): void {
    if (!this.#open) return;
    this.closed();
    this.#stream.end(new OptaError(code, message));
  }

  // --- what the stream calls

  drain(): void {
    this.#attachment?.drained();
  }

  closed(): void {
    this.#open = false;
    this.#attachment?.detach();
    this.#attachment = null;
  }
}
