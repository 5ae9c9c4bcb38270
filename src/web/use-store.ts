import { useEffect, useState } from 'preact/hooks';

/** Whatever can be looked at and tells of changes: every store of `@xstate/store`. */
interface Readable<T> {
  getSnapshot(): { context: T };
  subscribe(listener: (snapshot: { context: T }) => void): { unsubscribe(): void };
}

/** A part of a store's context; drawn again when that part is another object or value. */
export const useStore = <T, P>(store: Readable<T>, select: (context: T) => P): P => {
  const [part, setPart] = useState(() => select(store.getSnapshot().context));
  useEffect(() => {
    const look = (): void => setPart(() => select(store.getSnapshot().context));
    // It may have moved between the drawing and this moment.
    look();
    const { unsubscribe } = store.subscribe(look);
    return unsubscribe;
  }, [store]);
  return part;
};
