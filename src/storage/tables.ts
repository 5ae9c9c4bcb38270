import { type Database, open, type RootDatabase } from 'lmdb';
import type { IndexEntry } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { SessionState } from '../protocol/session-state.ts';

/**
 * The tables of one LMDB environment. All of them move in one transaction.
 *
 * `events` is ordered by session and `seq`, so a page is one range scan and the stored bytes are sent as they are. `recent` orders
 * sessions by their last change, so a list costs what it shows. `open` holds the sessions with work that is not over, so a boot
 * costs what is open and not what is stored.
 */
export interface Tables {
  env: RootDatabase;
  events: Database<Buffer, [sessionId: string, seq: number]>;
  index: Database<IndexEntry, string>;
  recent: Database<boolean, [updatedAtMs: number, sessionId: string]>;
  open: Database<boolean, string>;
  snapshots: Database<SessionState, string>;
  meta: Database<number, string>;
}

/** Raised with every change of the tables' shape; `MIGRATIONS[n]` brings version n to n + 1. */
export const SCHEMA = 1;
const MIGRATIONS: { [from: number]: (tables: Tables) => void } = {};

/** Throws `storage` for an environment that a newer version wrote. */
export const openTables = (folder: string): Tables => {
  const env = open({ path: folder, noSubdir: false, maxDbs: 8 });
  const tables: Tables = {
    env,
    events: env.openDB({ name: 'events', encoding: 'binary' }),
    index: env.openDB({ name: 'index', encoding: 'json' }),
    recent: env.openDB({ name: 'recent', encoding: 'json' }),
    open: env.openDB({ name: 'open', encoding: 'json' }),
    snapshots: env.openDB({ name: 'snapshots', encoding: 'json' }),
    meta: env.openDB({ name: 'meta', encoding: 'json' }),
  };
  migrate(tables);
  return tables;
};

const migrate = (tables: Tables): void => {
  const found = tables.meta.get('schema');
  if (found !== undefined && found > SCHEMA) {
    throw new OptaError('storage', `The stored sessions have schema ${found}; this version knows ${SCHEMA}. Use a newer opta.`);
  }
  if (found === SCHEMA) return;
  tables.env.transactionSync(() => {
    for (let version = found ?? SCHEMA; version < SCHEMA; version++) MIGRATIONS[version]?.(tables);
    tables.meta.putSync('schema', SCHEMA);
  });
};
