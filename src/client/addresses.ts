import type { DaemonAddress } from './platform.ts';

/** Where the daemon is, asked for once and then remembered until somebody finds that it is wrong. */
export class Addresses {
  readonly #find: () => Promise<DaemonAddress>;
  #known: Promise<DaemonAddress> | null = null;
  #current: DaemonAddress | null = null;

  constructor(find: () => Promise<DaemonAddress>) {
    this.#find = find;
  }

  get(): Promise<DaemonAddress> {
    this.#known ??= this.#ask();
    return this.#known;
  }

  /** Asks anew, for those who have lost a connection. */
  fresh(): Promise<DaemonAddress> {
    this.#known = null;
    return this.get();
  }

  /** Whoever is late with an old address does not undo what another has found since. */
  forget(address: DaemonAddress): void {
    if (this.#current === address) this.#known = null;
  }

  async #ask(): Promise<DaemonAddress> {
    try {
      this.#current = await this.#find();
      return this.#current;
    } catch (cause) {
      this.#known = null;
      throw cause;
    }
  }
}

/** For who has just found the daemon: it is not asked for a second time before it is lost. */
export const startingWith = (
  first: DaemonAddress,
  find: () => Promise<DaemonAddress>,
): (() => Promise<DaemonAddress>) => {
  let known: DaemonAddress | null = first;
  return () => {
    const address = known;
    known = null;
    return address ? Promise.resolve(address) : find();
  };
};
