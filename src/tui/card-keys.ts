import type { Card } from '../views/cards.ts';
import type { Answer, SessionDesk } from '../views/session-desk.ts';
import type { Composer } from './composer.ts';
import { edit } from './editing.ts';
import type { Key } from './keys.ts';

/**
 * Keys that were on their way when a card came up decide nothing: those that come this soon after it, and those that come this
 * soon after such a key, since who is writing does not read and stop at once.
 */
const GRACE_MS = 400;

/** What keys do while a card is up. */
export class CardKeys {
  /** How far the text of `#scrolledId` was scrolled. */
  #top = 0;
  #scrolledId: string | null = null;
  /** Where the answer to a question is written. */
  readonly #answer: Composer;
  /** What was being written when the card came up. */
  readonly #draft: Composer;
  /** When the last key came that was on its way. */
  #wayMs = 0;

  constructor(answer: Composer, draft: Composer) {
    this.#answer = answer;
    this.#draft = draft;
  }

  /** How far this card's text is scrolled. Another one begins at its first line, whoever or whatever took the last away. */
  topOf(card: Card | null): number {
    const id = card?.requestId ?? null;
    if (id !== this.#scrolledId) this.#top = 0;
    this.#scrolledId = id;
    return this.#top;
  }

  /** As far as it went. */
  scrolledTo(top: number): void {
    this.#top = top;
  }

  /** True when the key was for the card. */
  key(key: Key, desk: SessionDesk): boolean {
    const { card } = desk.desk;
    if (card === null || key.ctrl) return false;
    if (writesOrDecides(key) && this.#onItsWay(desk.desk.cardSinceMs)) {
      // It was meant for the text that stood there. An Enter may have been meant for either, so it is nobody's.
      if (!this.#draft.empty && key.name !== 'return') edit(this.#draft, key);
      return true;
    }
    return card.question ? this.#ofQuestion(key, card, desk) : this.#ofPermission(key, card, desk);
  }

  #ofPermission({ name, text, shift, meta }: Key, card: Card, desk: SessionDesk): boolean {
    if (!shift && !meta && this.#scrolled(name, card)) return true;
    const answer: Answer | undefined = meta ? undefined : ANSWERS[text.toLowerCase()];
    if (answer) this.#decide(desk, card, answer);
    // What writes is for nobody while a permission is asked for.
    return answer !== undefined || text !== '' || name === 'backspace';
  }

  #ofQuestion({ name, text, meta }: Key, card: Card, desk: SessionDesk): boolean {
    const options = card.question?.options ?? [];
    const written = this.#answer.text.trim();
    if (meta && name === 'n') this.#decide(desk, card, { decision: 'deny' });
    else if (!meta && name === 'return') {
      if (written !== '') this.#decide(desk, card, { decision: 'allow', answer: written }, this.#answer.text);
    } else if (this.#answer.empty && options[Number(text) - 1] !== undefined) {
      this.#decide(desk, card, { decision: 'allow', answer: options[Number(text) - 1] as string });
    } else return !meta && this.#answer.empty && this.#scrolled(name, card);
    return true;
  }

  #scrolled(name: string, card: Card): boolean {
    const step = { up: -1, down: 1, pageup: -5, pagedown: 5 }[name];
    if (step === undefined) return false;
    this.#top = Math.max(0, this.topOf(card) + step);
    return true;
  }

  #decide(desk: SessionDesk, card: Card, answer: Answer, written = ''): void {
    this.#answer.clear();
    void desk.decide(card, answer).then(() => {
      // It did not arrive, and the question is asked again: what was written is not lost.
      if (desk.desk.card?.requestId === card.requestId && this.#answer.empty) this.#answer.insert(written);
    });
  }

  #onItsWay(sinceMs: number): boolean {
    const nowMs = Date.now();
    if (nowMs - Math.max(sinceMs, this.#wayMs) >= GRACE_MS) return false;
    this.#wayMs = nowMs;
    return true;
  }
}

const writesOrDecides = ({ name, text, meta }: Key): boolean =>
  text !== '' || name === 'return' || name === 'backspace' || (meta && name === 'n');

const ANSWERS: { readonly [sign: string]: Answer } = {
  y: { decision: 'allow' },
  n: { decision: 'deny' },
  a: { decision: 'allow', remember: 'session' },
  w: { decision: 'allow', remember: 'workspace' },
};
