import { OptaError } from '../protocol/errors.ts';
import type { FoundOperation, OperationInfo } from '../protocol/operations/named.ts';
import { ABSENT } from './absent.ts';
import { CATALOGUE } from './catalogue.ts';
import type { Operations, OperationWorld } from './operation.ts';

/** Who waits for the answer; see `Caller` of the transport. */
export interface OperationCaller {
  whenGone(told: () => void): void;
}

/** The named operations as the daemon serves them; see `OperationHost` of the transport. */
export interface NamedOperationHost {
  list(): OperationInfo[];
  find(id: string): FoundOperation | undefined;
  /**
   * Rejects with `timeout` after the operation's deadline; what it began may then still be under way. What only reads ends early for
   * a caller that is gone; a change that was begun is finished.
   */
  run(id: string, input: unknown, caller?: OperationCaller): Promise<unknown>;
  /** Runs that have no answer yet. */
  readonly open: number;
}

/** At most `max` at a time; each has a deadline of its own, `deadlineMs` unless its row says another. */
export const createOperationHost = (
  world: Omit<OperationWorld, 'signal'>,
  bounds: { max: number; deadlineMs: number },
  catalogue: Operations = CATALOGUE,
): NamedOperationHost => {
  let open = 0;
  const rowOf = (id: string) => (Object.hasOwn(catalogue, id) ? catalogue[id] : undefined);
  return {
    list: () =>
      Object.entries(catalogue).map(([id, { title, description, safety }]) => ({ id, title, description, safety })),
    find: (id) => rowOf(id) ?? (Object.hasOwn(ABSENT, id) ? ABSENT[id] : undefined),
    run: async (id, input, caller) => {
      const row = rowOf(id);
      if (row === undefined) throw new OptaError('not-found', `Unknown operation ${id}`);
      if (open >= bounds.max) throw new OptaError('too-many-requests', `${open} operations run already`);
      open += 1;
      const control = new AbortController();
      if (row.safety === 'read') caller?.whenGone(() => control.abort());
      const ms = row.deadlineMs ?? bounds.deadlineMs;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new OptaError('timeout', `${id} took longer than ${ms} ms`));
          control.abort();
        }, ms);
      });
      try {
        return await Promise.race([row.run({ ...world, signal: control.signal }, input), late]);
      } finally {
        clearTimeout(timer);
        open -= 1;
      }
    },
    get open() {
      return open;
    },
  };
};
