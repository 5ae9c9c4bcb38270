import type { DaemonAddress } from './platform.ts';

/** Where the daemon is, asked for once and then remembered until somebody finds that it is wrong. */
export class Addresses {
  readonly #find: () => Promise<DaemonAddress>;
  #known: Promise<DaemonAddress> | null = null;
  #current: DaemonAddress | null = null;

  /** `first` is for who has just found the daemon: it is not looked for a second time before it is lost. */
  constructor(find: () => Promise<DaemonAddress>, first?: DaemonAddress) {
    this.#find = find;
    if (first) this.#known = this.#ask(() => Promise.resolve(first));
  }

  get(): Promise<DaemonAddress> {
    this.#known ??= this.#ask(this.#find);
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

  async #ask(find: () => Promise<DaemonAddress>): Promise<DaemonAddress> {
    try {
      this.#current = await find();
      return this.#current;
    } catch (cause) {
      this.#known = null;
      throw cause;
    }
  }
}
