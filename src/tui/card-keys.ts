import type { Card } from '../views/cards.ts';
import type { Answer, SessionDesk } from '../views/session-desk.ts';
import type { Composer } from './composer.ts';
import type { Key } from './keys.ts';

/** Keys that were on their way when a card came up decide nothing. */
const GRACE_MS = 400;

/** What keys do while a card is up. */
export class CardKeys {
  /** How far its text was scrolled. */
  top = 0;
  /** Where the answer to a question is written. */
  readonly #answer: Composer;

  constructor(answer: Composer) {
    this.#answer = answer;
  }

  /** True when the key was for the card. */
  key(key: Key, desk: SessionDesk): boolean {
    const { card } = desk.desk;
    if (card === null || key.ctrl) return false;
    return card.question ? this.#ofQuestion(key, card, desk) : this.#ofPermission(key, card, desk);
  }

  #ofPermission({ name, text, shift, meta }: Key, card: Card, desk: SessionDesk): boolean {
    if (!shift && this.#scrolled(name)) return true;
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
      if (written !== '') this.#decide(desk, card, { decision: 'allow', answer: written });
    } else if (this.#answer.empty && options[Number(text) - 1] !== undefined) {
      this.#decide(desk, card, { decision: 'allow', answer: options[Number(text) - 1] as string });
    } else return this.#answer.empty && this.#scrolled(name);
    return true;
  }

  #scrolled(name: string): boolean {
    const step = { up: -1, down: 1, pageup: -5, pagedown: 5 }[name];
    if (step === undefined) return false;
    this.top = Math.max(0, this.top + step);
    return true;
  }

  #decide(desk: SessionDesk, card: Card, answer: Answer): void {
    if (Date.now() - desk.desk.cardSinceMs < GRACE_MS) return;
    this.top = 0;
    this.#answer.clear();
    void desk.decide(card, answer);
  }
}

const ANSWERS: { readonly [sign: string]: Answer } = {
  y: { decision: 'allow' },
  n: { decision: 'deny' },
  a: { decision: 'allow', remember: 'session' },
};
