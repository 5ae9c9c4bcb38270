import type { Done, LogStore } from '../ports.ts';

/** Sessions that were put away long enough ago lose what they have stored, one after another, a part at a time. */
export const purgeExpired = (
  parts: {
    store: LogStore;
    /** Nobody loads the session until it is released; false when it is loaded, or nothing may be begun. */
    hold(sessionId: string, work: (release: () => void) => void): boolean;
    /** Something of it is gone: nobody may go on reading it. */
    purged(sessionId: string): void;
    beforeMs: number;
  },
  done: Done<number>,
): void => {
  const { store, hold, purged: gone, beforeMs } = parts;
  store.expired(beforeMs, (error, ids) => {
    if (error) return done(error, 0);
    let purged = 0;
    const next = (): void => {
      const id = ids.pop();
      if (id === undefined) return done(null, purged);
      // One that is loaded may be restored at this moment; the next round finds it again if it was not. And whoever comes
      // while a part is removed must not load the rest of it.
      const part = (): void => {
        const held = hold(id, (release) =>
          store.purge(id, beforeMs, (problem, isOver) => {
            gone(id);
            release();
            if (problem) return done(problem, purged);
            if (!isOver) return part();
            purged++;
            next();
          }),
        );
        if (!held) next();
      };
      part();
    };
    next();
  });
};
