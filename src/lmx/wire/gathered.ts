import type { CallDelta } from '../engine.ts';

export interface WholeCall {
  index: number;
  id: string;
  name: string;
  arguments: string;
}

/** Puts the pieces of tool calls together, for wires that give a call in one piece. */
export class GatheredCalls {
  readonly #calls = new Map<number, WholeCall>();
  readonly #answerId: () => string;

  /** For a call that its engine gave no id. */
  constructor(answerId: () => string) {
    this.#answerId = answerId;
  }

  add({ index, id, name, arguments: args }: CallDelta): void {
    const call = this.#calls.get(index) ?? { index, id: `call_${this.#answerId()}_${index}`, name: '', arguments: '' };
    if (id) call.id = id;
    if (name) call.name = name;
    call.arguments += args;
    this.#calls.set(index, call);
  }

  /** In the order of their index. */
  all(): WholeCall[] {
    return [...this.#calls.values()].sort((a, b) => a.index - b.index);
  }
}

/** As OpenAI's messages have it. */
export const asToolCalls = (calls: readonly WholeCall[]) =>
  calls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function' as const,
    function: { name, arguments: args },
  }));
