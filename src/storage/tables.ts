import type { Database, RootDatabase } from 'lmdb';
import type { IndexEntry } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { SessionState } from '../protocol/session-state.ts';

/**
 * The tables of one LMDB environment. All of them move in one transaction.
 *
 * `events` is ordered by session and `seq`, so a page is one range scan and the stored bytes are sent as they are. `recent` orders
 * sessions by their last change, so a list costs what it shows. `open` holds the sessions with work that is not over, so a boot
 * costs what is open and not what is stored. `meta` has the schema's version, the number of sessions, and the last probe.
 */
export interface Tables {
  /** As text: LMDB then makes the string from its page, without a buffer for each record, which is what a replay would spend most on. */
  events: Database<string, [sessionId: string, seq: number]>;
  index: Database<IndexEntry, string>;
  recent: Database<boolean, [updatedAtMs: number, sessionId: string]>;
  open: Database<boolean, string>;
  snapshots: Database<SessionState, string>;
  meta: Database<number, string>;
}

/** How many entries were read from the environment: a boot is judged by this count and not by a clock. */
export interface ReadCount {
  entries: number;
}

export const openTables = (env: RootDatabase, reads: ReadCount): Tables => {
  const table = <V, K extends string | [string | number, string | number]>(
    name: string,
    encoding: 'string' | 'json',
  ): Database<V, K> => counted(env.openDB<V, K>({ name, encoding }), reads);
  return {
    events: table('events', 'string'),
    index: table('index', 'json'),
    recent: table('recent', 'json'),
    open: table('open', 'json'),
    snapshots: table('snapshots', 'json'),
    meta: table('meta', 'json'),
  };
};

/** Counts at the table itself, so that a scan added later is counted too. LMDB's other ways to iterate end in `getRange`. */
const counted = <V, K extends string | [string | number, string | number]>(
  db: Database<V, K>,
  reads: ReadCount,
): Database<V, K> => {
  const { get, getRange } = db;
  const each = function* <T>(entries: Iterable<T>): Generator<T> {
    for (const entry of entries) {
      reads.entries++;
      yield entry;
    }
  };
  return Object.assign(db, {
    get: (...args: Parameters<typeof get>) => {
      reads.entries++;
      return get.apply(db, args);
    },
    getRange: (...args: Parameters<typeof getRange>) => each(getRange.apply(db, args)),
  });
};

export interface Schema {
  version: number;
  /** `from[n]` brings version n to n + 1, inside the migration's one transaction. */
  from: { [version: number]: (tables: Tables) => void };
}

/**
 * Raised with every change of the tables' shape, or of what the log can say: an older program must not read with old eyes.
 * 2: places of queued turns, idempotency keys, changes of a session. What 1 wrote reads the same.
 */
export const SCHEMA: Schema = { version: 2, from: { 1: () => undefined } };

/**
 * Brings the tables to this version, all steps in one transaction or none. Throws `storage` for what a newer version wrote:
 * reading it with old eyes could lose what it says.
 */
export const migrate = (env: RootDatabase, tables: Tables, schema: Schema = SCHEMA): void => {
  const found = tables.meta.get('schema');
  if (found === schema.version) return;
  if (found !== undefined && found > schema.version) {
    throw new OptaError(
      'storage',
      `The stored sessions have schema ${found}; this version knows ${schema.version}. Use a newer opta.`,
      { schema: found, known: schema.version },
    );
  }
  env.transactionSync(() => {
    for (let version = found ?? schema.version; version < schema.version; version++) {
      const step = schema.from[version];
      if (!step) throw new OptaError('internal', `No migration leads from schema ${version} to ${version + 1}.`);
      step(tables);
    }
    tables.meta.putSync('schema', schema.version);
  });
};
