/** That the client of one exchange went away before it had its answer: told once, whoever is first, the client or who asks. */
export class Gone {
  readonly #onFault: (where: string, fault: unknown) => void;
  #told: (() => void) | null = null;
  #happened = false;

  constructor({ onFault }: { onFault(where: string, fault: unknown): void }) {
    this.#onFault = onFault;
  }

  when(told: () => void): void {
    this.#told = told;
    if (this.#happened) this.#tell();
  }

  happen(): void {
    this.#happened = true;
    this.#tell();
  }

  #tell(): void {
    const told = this.#told;
    this.#told = null;
    try {
      told?.();
    } catch (fault) {
      this.#onFault('gone', fault);
    }
  }
}
