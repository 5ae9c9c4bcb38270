import { askPerson, type Decide, denyFor, optionLines } from '../ask.ts';
import { colour, type Output, oneLine } from '../output.ts';
import type { Conversation } from './conversation.ts';
import type { Lines } from './lines.ts';

/** Whether a turn of one's own is waited for: then nobody is typing, and a question can be put. */
export class Awaiting {
  #turns = 0;
  #next: (() => void)[] = [];

  get now(): boolean {
    return this.#turns > 0;
  }

  /** Resolves when the next wait begins. */
  begins(): Promise<void> {
    return new Promise((resolve) => this.#next.push(resolve));
  }

  async during<T>(turn: () => Promise<T>): Promise<T> {
    this.#turns += 1;
    for (const resolve of this.#next.splice(0)) resolve();
    try {
      return await turn();
    } finally {
      this.#turns -= 1;
    }
  }
}

/**
 * Who decides in a line-mode conversation. Without a terminal one's own calls are denied at once, and those of others are left to
 * them. At a terminal a person is asked; while they write, they are told, and answer with /allow, /answer and /deny.
 */
export const decider = (
  talk: Conversation,
  lines: Lines,
  output: Output,
  mayAsk: boolean,
  awaiting: Awaiting,
): Decide => {
  const ask = askPerson(output, (prompt, signal) => lines.ask(prompt, signal));
  const deny = denyFor('opta-chat');
  return async (request, signal) => {
    if (!lines.interactive || !mayAsk) return talk.isMine(request.turnId) ? deny(request) : null;
    if (awaiting.now) return ask(request, signal);
    const { active } = talk.link.view.current;
    const whose = active === null ? 'a turn' : `the turn of ${oneLine(active.writerId, 40)}`;
    const what = `${colour.bold(oneLine(request.toolName))}  ${oneLine(request.summary, 400)}`;
    const how =
      request.question === undefined ? '  /allow or /deny\n' : `${optionLines(request.question)}  /answer or /deny\n`;
    output.err(`${colour.yellow('?')} ${whose} asks: ${what}\n${how}`);
    const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([gone, awaiting.begins()]);
    return signal.aborted ? null : ask(request, signal);
  };
};
