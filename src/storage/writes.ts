import type { SessionCommit } from '../actors/ports.ts';
import { checkBatch, headOf, updatedAtMs } from './batch.ts';
import type { Tables } from './tables.ts';

/** Puts one batch, inside a transaction. What it throws must abort the transaction. */
export const writeBatch = (t: Tables, batch: SessionCommit[]): void => {
  checkBatch(batch, (sessionId) => headOf(t.index.get(sessionId)));
  let added = 0;
  for (const c of batch) {
    const before = t.index.get(c.sessionId);
    if (!before) added++;
    for (const r of c.records) t.events.put([c.sessionId, r.seq], r.text);
    const atMs = updatedAtMs(c.index);
    const beforeMs = before ? updatedAtMs(before) : null;
    if (beforeMs !== atMs) {
      if (beforeMs !== null) t.recent.remove([beforeMs, c.sessionId]);
      t.recent.put([atMs, c.sessionId], true);
    }
    t.index.put(c.sessionId, c.index);
    const wasOpen = t.open.get(c.sessionId) === true;
    if (c.open && !wasOpen) t.open.put(c.sessionId, true);
    if (!c.open && wasOpen) t.open.remove(c.sessionId);
    if (c.snapshot) t.snapshots.put(c.sessionId, c.snapshot);
  }
  // Kept beside the tables, since LMDB's own count walks the whole list of free pages.
  if (added > 0) t.meta.put('sessions', (t.meta.get('sessions') ?? 0) + added);
};

/** One part of a purge, inside a transaction; true when nothing is left. The id keeps its row, so that it is never given again. */
export const purgePart = (t: Tables, sessionId: string, beforeMs: number, recordsMax: number): boolean => {
  const index = t.index.get(sessionId);
  if (index?.deletedAt === undefined) return true;
  if (index.purgedAt === undefined) {
    if (updatedAtMs(index) >= beforeMs) return true;
    const { seq, createdAt, updatedAt, deletedAt } = index;
    const bare = { sessionId, model: '', createdAt, updatedAt, seq, toolCallCount: 0, messageCount: 0, queuedTurns: 0 };
    t.index.put(sessionId, { ...bare, deletedAt, purgedAt: new Date().toISOString() });
    t.snapshots.remove(sessionId);
  }
  const keys = [...t.events.getKeys({ start: [sessionId, 1], end: [sessionId, index.seq + 1], limit: recordsMax })];
  for (const key of keys) t.events.remove(key);
  if (keys.length === recordsMax) return false;
  t.recent.remove([updatedAtMs(index), sessionId]);
  t.meta.put('sessions', (t.meta.get('sessions') ?? 1) - 1);
  return true;
};
