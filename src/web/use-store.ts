import { useEffect, useRef, useState } from 'preact/hooks';
import { onNextFrame } from './frames.ts';

/** Whatever can be looked at and tells of changes: every store of `@xstate/store`. */
interface Readable<T> {
  getSnapshot(): { context: T };
  subscribe(listener: (snapshot: { context: T }) => void): { unsubscribe(): void };
}

/**
 * A part of a store's context; drawn again when that part is another object or value, at most once a frame however often the
 * store changes. `now`: at once, for what takes the next key.
 */
export const useStore = <T, P>(store: Readable<T>, select: (context: T) => P, when: 'frame' | 'now' = 'frame'): P => {
  const latest = useRef(select);
  latest.current = select;
  const part = select(store.getSnapshot().context);
  const [, setPart] = useState(() => part);
  useEffect(() => {
    const look = (): void => setPart(() => latest.current(store.getSnapshot().context));
    // It may have moved between the drawing and this moment.
    look();
    const soon = onNextFrame(look);
    const { unsubscribe } = store.subscribe(when === 'now' ? look : soon.ask);
    return () => {
      unsubscribe();
      soon.cancel();
    };
  }, [store]);
  return part;
};
