import type { IndexEntry, ListPage, LogPage, SessionCommit, StoredRecord, StoredSession } from '../actors/ports.ts';
import type { SessionState } from '../protocol/session-state.ts';
import { checkBatch, formatCursor, headOf, parseCursor, updatedAtMs } from './batch.ts';
import { type PageBounds, purged } from './reads.ts';
import { listFilter } from './search.ts';

interface Row {
  records: StoredRecord[];
  index: IndexEntry;
  open: boolean;
  /** Text, as on a disk: a state that its owner changes later does not change what was stored. */
  snapshot: string | null;
}

/** What one commit changed, to take it back: the disk had it and a power cut took it. */
type Undo = { sessionId: string; before: Omit<Row, 'records'> | null; recordsBefore: number }[];

/** The platter of the memory store: every session's row, and the commits that are not flushed yet, in their order. */
export class MemoryRows {
  readonly #rows = new Map<string, Row>();
  readonly #unflushed: Undo[] = [];
  /** Commits that landed, ever. */
  landed = 0;

  /** Throws `internal` and changes nothing when the batch does not continue the log. */
  land(batch: SessionCommit[]): void {
    checkBatch(batch, (sessionId) => headOf(this.#rows.get(sessionId)?.index));
    const snapshots = batch.map((c) => (c.snapshot ? JSON.stringify(c.snapshot) : null));
    const undo: Undo = [];
    batch.forEach((c, i) => {
      const row = this.#rows.get(c.sessionId);
      undo.push({
        sessionId: c.sessionId,
        before: row ? { index: row.index, open: row.open, snapshot: row.snapshot } : null,
        recordsBefore: row?.records.length ?? 0,
      });
      const records = row?.records ?? [];
      for (const r of c.records) records.push({ seq: r.seq, text: r.text });
      const snapshot = snapshots[i] ?? row?.snapshot ?? null;
      this.#rows.set(c.sessionId, { records, index: { ...c.index }, open: c.open, snapshot });
    });
    this.#unflushed.push(undo);
    this.landed++;
  }

  /** Everything that had landed when `landed` was read is on disk. */
  flushedUpTo(landed: number): void {
    const flushed = this.landed - this.#unflushed.length;
    this.#unflushed.splice(0, Math.max(0, landed - flushed));
  }

  unflushed(): number {
    return this.#unflushed.length;
  }

  /** Another platter with the same content, but for the last `lost` commits. */
  copy(lost: number): MemoryRows {
    const out = new MemoryRows();
    for (const [id, row] of this.#rows) out.#rows.set(id, { ...row, records: row.records.slice() });
    for (const undo of this.#unflushed.slice(this.#unflushed.length - lost).reverse()) out.#takeBack(undo);
    out.landed = this.landed - lost;
    return out;
  }

  #takeBack(undo: Undo): void {
    for (const { sessionId, before, recordsBefore } of undo.toReversed()) {
      const records = this.#rows.get(sessionId)?.records.slice(0, recordsBefore) ?? [];
      if (before) this.#rows.set(sessionId, { ...before, records });
      else this.#rows.delete(sessionId);
    }
  }

  head(sessionId: string): number {
    return this.#rows.get(sessionId)?.index.seq ?? 0;
  }

  flushedHead(sessionId: string): number {
    const first = this.#unflushed.flat().find((undo) => undo.sessionId === sessionId);
    return first ? (this.records(sessionId)[first.recordsBefore - 1]?.seq ?? 0) : this.head(sessionId);
  }

  records(sessionId: string): StoredRecord[] {
    return this.#rows.get(sessionId)?.records.slice() ?? [];
  }

  sessions(): string[] {
    return [...this.#rows.keys()].sort();
  }

  open(): string[] {
    return this.sessions().filter((id) => this.#rows.get(id)?.open);
  }

  expired(beforeMs: number): string[] {
    return [...this.#rows.values()].flatMap(({ index, records }) =>
      index.deletedAt !== undefined && updatedAtMs(index) < beforeMs && records.length > 0 ? [index.sessionId] : [],
    );
  }

  /** At once and for good: a power cut does not bring it back. */
  purge(sessionId: string, beforeMs: number): boolean {
    const row = this.#rows.get(sessionId);
    const deletedAt = row?.index.deletedAt;
    if (!row || deletedAt === undefined || updatedAtMs(row.index) >= beforeMs) return true;
    const { seq, createdAt, updatedAt } = row.index;
    const bare = { sessionId, model: '', createdAt, updatedAt, seq, toolCallCount: 0, messageCount: 0, queuedTurns: 0 };
    const index = { ...bare, deletedAt, purgedAt: deletedAt };
    this.#rows.set(sessionId, { records: [], index, open: false, snapshot: null });
    return true;
  }

  load(sessionId: string): StoredSession | null {
    const row = this.#rows.get(sessionId);
    if (!row) return null;
    if (row.index.purgedAt !== undefined) throw purged(sessionId);
    const snapshot = row.snapshot === null ? null : (JSON.parse(row.snapshot) as SessionState);
    return { snapshot, records: row.records.slice(snapshot?.seq ?? 0) };
  }

  read(sessionId: string, afterSeq: number, bounds: PageBounds): LogPage {
    const all = this.#rows.get(sessionId)?.records ?? [];
    const from = Math.max(0, afterSeq);
    const records: StoredRecord[] = [];
    let bytes = 0;
    for (const record of all.slice(from, from + Math.max(1, bounds.recordsMax))) {
      bytes += Buffer.byteLength(record.text);
      if (records.length > 0 && bytes > bounds.bytesMax) break;
      records.push({ ...record });
    }
    return { records, head: this.#rows.get(sessionId)?.index.purgedAt === undefined ? this.head(sessionId) : 0 };
  }

  list(page: ListPage): { sessions: IndexEntry[]; cursor?: string; total: number } {
    const after = page.cursor === undefined ? null : parseCursor(page.cursor);
    const limit = Math.max(1, page.limit);
    const shows = listFilter(page);
    const keyed = [...this.#rows.values()]
      .map(({ index }) => ({ index, at: updatedAtMs(index) }))
      .filter(({ index, at }) => shows(index) && (!after || older(at, index.sessionId, after)))
      .sort((a, b) => (older(b.at, b.index.sessionId, [a.at, a.index.sessionId]) ? -1 : 1));
    const shown = keyed.slice(0, limit);
    const last = shown.at(-1);
    const total = [...this.#rows.values()].filter(({ index }) => index.purgedAt === undefined).length;
    const out = { sessions: shown.map(({ index }) => ({ ...index })), total };
    return keyed.length > limit && last ? { ...out, cursor: formatCursor([last.at, last.index.sessionId]) } : out;
  }
}

const older = (at: number, id: string, than: [number, string]): boolean =>
  at < than[0] || (at === than[0] && id < than[1]);
