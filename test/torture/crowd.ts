import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Daemon } from '../support/daemon.ts';
import type { CrowdOrder, CrowdPlace, CrowdReport, CrowdWord, ReaderKind } from './crowd-readers.ts';

const MAIN = fileURLToPath(new URL('crowd-readers.ts', import.meta.url));
const WORD_MS = 60_000;

/** Many readers in a process of their own: see crowd-readers.ts. Whoever starts one ends it. */
export class Crowd {
  frames = 0;
  readonly #child: ChildProcess;
  #last: CrowdWord | null = null;
  readonly #waits = new Set<() => void>();
  #over = false;

  constructor() {
    this.#child = fork(MAIN, { execArgv: ['--import', import.meta.resolve('tsx')], serialization: 'advanced' });
    this.#child.on('message', (word: CrowdWord) => {
      if (word.type === 'seen') this.frames = word.frames;
      else this.#last = word;
      for (const look of [...this.#waits]) look();
    });
    this.#child.once('exit', () => {
      this.#over = true;
      for (const look of [...this.#waits]) look();
    });
  }

  ready(): Promise<CrowdWord> {
    return this.#word('ready');
  }

  async attach(daemon: Daemon, readers: { sessionId: string; kind: ReaderKind }[]): Promise<void> {
    this.#order({ type: 'attach', place: placeOf(daemon), readers });
    await this.#word('attached');
  }

  lost(): void {
    this.#order({ type: 'lost' });
  }

  async back(daemon: Daemon): Promise<void> {
    this.#order({ type: 'back', place: placeOf(daemon) });
    await this.#word('attached');
  }

  /** Until all readers together have seen so many events. */
  seen(frames: number): Promise<void> {
    return this.#until(`${frames} events`, () => this.frames >= frames);
  }

  async finish(heads: { [sessionId: string]: number }): Promise<CrowdReport> {
    this.#order({ type: 'finish', heads });
    return (await this.#word('report')) as CrowdReport & CrowdWord;
  }

  end(): void {
    if (!this.#over) this.#child.kill('SIGKILL');
  }

  #order(order: CrowdOrder): void {
    this.#last = null;
    this.#child.send(order);
  }

  async #word(type: CrowdWord['type']): Promise<CrowdWord> {
    await this.#until(type, () => this.#last?.type === type);
    return this.#last as CrowdWord;
  }

  #until(what: string, holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (why?: string): void => {
        clearTimeout(late);
        this.#waits.delete(look);
        if (why === undefined) resolve();
        else reject(new Error(why));
      };
      const look = (): void => {
        if (holds()) finish();
        else if (this.#over) finish(`the crowd's process ended before: ${what}`);
      };
      const late = setTimeout(() => finish(`not within ${WORD_MS} ms: ${what}; ${this.frames} events seen`), WORD_MS);
      this.#waits.add(look);
      look();
    });
  }
}

const placeOf = ({ port, token }: Daemon): CrowdPlace => ({ port, token });

/** What a crowd's report says about a session whose log this is. */
export const hashOf = (stored: readonly string[]): string => {
  const hash = createHash('sha256');
  for (const text of stored) hash.update(text).update('\n');
  return hash.digest('hex');
};
