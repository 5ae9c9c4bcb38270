const PROMPTS_MAX = 100;
const CHARS_MAX = 1 << 22;

/** What was sent before, and the draft that is put aside while somebody looks through it. */
export class Prompts {
  /** Oldest first. */
  #all: readonly string[] = [];
  /** Place from the end; 0 is the draft. */
  #back = 0;
  #draft = '';

  /** With the draft. */
  get all(): readonly string[] {
    return [...this.#all, this.#draft];
  }

  add(text: string): void {
    if (text.trim() !== '' && this.#all.at(-1) !== text) this.#all = bounded([...this.#all, text]);
  }

  before(older: readonly string[]): void {
    this.#all = bounded([...older, ...this.#all]);
  }

  /** `draft` is kept when it is left; null when there is nothing older. */
  older(draft: string): string | null {
    if (this.#back >= this.#all.length) return null;
    if (this.#back === 0) this.#draft = draft;
    this.#back += 1;
    return this.#all.at(-this.#back) ?? null;
  }

  newer(): string | null {
    if (this.#back === 0) return null;
    this.#back -= 1;
    return this.#back === 0 ? this.#draft : (this.#all.at(-this.#back) ?? null);
  }

  leave(): void {
    this.#back = 0;
    this.#draft = '';
  }
}

/** The newest of them. */
const bounded = (all: readonly string[]): readonly string[] => {
  let chars = 0;
  const kept: string[] = [];
  for (const text of all.slice(-PROMPTS_MAX).reverse()) {
    chars += text.length;
    if (chars > CHARS_MAX) break;
    kept.unshift(text);
  }
  return kept;
};
