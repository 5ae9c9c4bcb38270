import type { AttachOptions } from './attach-options.ts';
import { Attachment } from './attachment.ts';
import { ControlPlane } from './control.ts';
import { type FeedId, type FeedMessages, type FeedOptions, feed } from './feed.ts';
import { type LinkOptions, SessionLink } from './session-link.ts';

/** Both planes of one daemon, found again wherever it comes back. Made by `connect`. */
export class OptaClient extends ControlPlane {
  readonly #attachments = new Set<Attachment>();

  /** The events of a session from a cursor of one's own, once each and in order. For a picture of it, see `session`. */
  attach(options: Omit<AttachOptions, 'address' | 'holds'>): Attachment {
    let first = true;
    const attachment = new Attachment(
      {
        ...options,
        address: () => {
          // A lost connection is a reason to look again; the first one takes what the calls already know.
          const address = first ? this.addresses.get() : this.addresses.fresh();
          first = false;
          return address;
        },
        holds: (last) => this.holds(options.sessionId, last),
      },
      this.platform,
    );
    this.#attachments.add(attachment);
    void attachment.ended.then(() => this.#attachments.delete(attachment));
    return attachment;
  }

  /** Takes a place in a session: its view, and commands that are matched to their answers. */
  session(sessionId: string, options: LinkOptions = {}): SessionLink {
    return new SessionLink(this, sessionId, options);
  }

  /** A feed of the daemon as typed messages, opened again whenever it breaks; see `feed.ts`. */
  feed<K extends FeedId>(id: K, options: FeedOptions = {}): AsyncGenerator<FeedMessages[K], void> {
    const source = {
      stream: (feedId: FeedId, input: object) => this.stream(feedId, input),
      onWake: (wake: () => void) => this.platform.onWake(wake),
    };
    return feed(source, id, options);
  }

  override close(): void {
    for (const attachment of this.#attachments) attachment.close();
    super.close();
  }
}
