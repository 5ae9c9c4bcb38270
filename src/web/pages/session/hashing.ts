import type { SessionState } from '../../../protocol/session-state.ts';
import { canonicalJson, sha256 } from '../../../protocol/state-hash.ts';

const MESSAGES_A_LOOK = 32;

/** The hash of a state without holding up the page: each message is written once, and the browser digests beside the page. */
export class Hashing {
  readonly #known = new WeakMap<object, string>();

  /** Writes messages until all are written or the time is up; true when all are. */
  prepare({ messages }: SessionState, isTimeUp: () => boolean = () => false): boolean {
    let written = 0;
    for (const message of messages) {
      if (this.#known.has(message)) continue;
      if (written > 0 && written % MESSAGES_A_LOOK === 0 && isTimeUp()) return false;
      this.#known.set(message, canonicalJson(message));
      written += 1;
    }
    return true;
  }

  async hash(state: SessionState): Promise<string> {
    const text = canonicalJson(state, this.#known);
    // Not there on a page that is neither of this machine nor encrypted.
    const { subtle } = globalThis.crypto;
    if (!subtle) return sha256(text);
    const digest = await subtle.digest('SHA-256', new TextEncoder().encode(text));
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}
