import type { SessionLink } from '../client/session-link.ts';
import type { View } from '../client/session-view.ts';
import { toOptaError } from '../protocol/errors.ts';
import type { LogRecord } from '../protocol/events.ts';
import { type Card, cardOf } from './card.ts';
import type { Key } from './keys.ts';

/** Keys that were on their way when a card came up decide nothing. */
const GRACE_MS = 400;

/** The card that is on the screen, and what this person did with those before it. */
export class CardDesk {
  card: Card | null = null;
  /** How far its preview was scrolled. */
  top = 0;
  readonly #say: (text: string) => void;
  readonly #decided = new Set<string>();
  #since = 0;
  /** The request that was put off. */
  #aside = '';

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  clear(): void {
    this.card = null;
  }

  look(view: View): void {
    const card = cardOf(view);
    const hidden = card === null || card.requestId === this.#aside || this.#decided.has(card.requestId);
    const shown = hidden ? null : card;
    if (shown?.requestId === this.card?.requestId) return;
    this.card = shown;
    this.#since = Date.now();
    this.top = 0;
  }

  /** Says who it was, when it was somebody else. */
  heard(record: LogRecord): void {
    if (record.event !== 'permission.resolved') return;
    const { requestId, toolName, decision, decidedBy } = record.payload;
    const mine = this.#decided.delete(requestId);
    if (mine || requestId !== this.card?.requestId) return;
    this.#say(`${toolName}: ${decision === 'allow' ? 'allowed' : 'denied'} by ${decidedBy}`);
  }

  putOff(view: View): boolean {
    if (this.card === null) return false;
    this.#aside = this.card.requestId;
    this.look(view);
    return true;
  }

  bringBack(view: View): void {
    this.#aside = '';
    this.look(view);
  }

  /** True while a card is up: then no key is for the composer. */
  key(key: Key, link: SessionLink): boolean {
    if (this.card === null) return false;
    const name = key.text.toLowerCase();
    if (name === 'y') this.#decide(this.card, 'allow', link);
    else if (name === 'n') this.#decide(this.card, 'deny', link);
    else if (key.name === 'down') this.top += 1;
    else if (key.name === 'up') this.top = Math.max(0, this.top - 1);
    return true;
  }

  #decide(card: Card, decision: 'allow' | 'deny', link: SessionLink): void {
    if (Date.now() - this.#since < GRACE_MS) return;
    this.#decided.add(card.requestId);
    this.look(link.view.current);
    link.decide(card.requestId, decision).catch((cause) => {
      const error = toOptaError(cause);
      const { decidedBy } = error.facts;
      const late = error.code === 'permission-resolved' && typeof decidedBy === 'string';
      this.#say(late ? `${card.toolName}: ${decidedBy} was first` : error.message);
      // An answer that did not arrive can be given again.
      this.#decided.delete(card.requestId);
      this.look(link.view.current);
    });
  }
}
