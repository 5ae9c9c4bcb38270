import type { Done, LogStore } from '../ports.ts';

/** Sessions that were put away long enough ago lose what they have stored, one after another, a part at a time. */
export const purgeExpired = (
  parts: { store: LogStore; isLive(sessionId: string): boolean; beforeMs: number },
  done: Done<number>,
): void => {
  const { store, isLive, beforeMs } = parts;
  store.expired(beforeMs, (error, ids) => {
    if (error) return done(error, 0);
    let purged = 0;
    const next = (): void => {
      const id = ids.pop();
      if (id === undefined) return done(null, purged);
      // One that is loaded may be restored at this moment; the next round finds it again if it was not.
      if (isLive(id)) return next();
      const part = (): void =>
        store.purge(id, (problem, isOver) => {
          if (problem) return done(problem, purged);
          if (!isOver) return part();
          purged++;
          next();
        });
      part();
    };
    next();
  });
};
