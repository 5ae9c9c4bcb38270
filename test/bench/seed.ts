import { join } from 'node:path';
import { indexEntry, isOpen } from '../../src/actors/domain/index-entry.ts';
import { newSession } from '../../src/actors/domain/session-birth.ts';
import type { SessionCommit } from '../../src/actors/ports.ts';
import { encodeEnvelope } from '../../src/protocol/envelope.ts';
import type { Fact, LogRecord } from '../../src/protocol/events.ts';
import { fold, type SessionState } from '../../src/protocol/session-state.ts';
import { openLmdbStore } from '../../src/storage/lmdb-store.ts';

/**
 * Stored sessions, written through the daemon's own store, records and fold, so that a daemon that is started on them cannot
 * tell them from its own. Over the API this many would take minutes.
 */
const DAEMON_ID = 'daemon_bench';
const COMMIT_RECORDS = 2_000;

const committed = async (home: string, commits: Iterable<SessionCommit[]>): Promise<void> => {
  const store = openLmdbStore({ path: join(home, 'daemon', 'data') });
  const call = (what: (done: (error: Error | null) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => what((error) => (error ? reject(error) : resolve())));
  for (const batch of commits) await call((done) => store.commit(batch, done));
  await call((done) => store.flush(done));
  await call((done) => store.close(done));
};

const commitOf = (state: SessionState, records: readonly LogRecord[], snapshot = false): SessionCommit => ({
  sessionId: state.sessionId,
  records: records.map((r) => ({ seq: r.seq, text: encodeEnvelope(DAEMON_ID, state.sessionId, r) })),
  index: indexEntry(state),
  open: isOpen(state),
  ...(snapshot ? { snapshot: state } : {}),
});

const born = (sessionId: string) => newSession(sessionId, {}, { model: '' }, Date.now());

/** `count` sessions of one event each. */
export const seedSessions = (home: string, count: number): Promise<void> => {
  const batches = function* () {
    for (let from = 0; from < count; from += COMMIT_RECORDS) {
      const ids = Array.from({ length: Math.min(COMMIT_RECORDS, count - from) }, (_, i) => `seeded-${from + i}`);
      yield ids.map((id) => {
        const { state, record } = born(id);
        return commitOf(state, [record]);
      });
    }
  };
  return committed(home, batches());
};

const TOKENS_A_TURN = 1_000;
/** Makes an event about 290 bytes, as it was in the earlier system's measurement. */
const TEXT =
  'a piece of text of the length that a gathered token event tends to have, here it is always the same one; '.repeat(1);

/** One session with exactly `count` events: turns of 1,000 token events, all of them over. */
export const seedEvents = (home: string, sessionId: string, count: number): Promise<void> => {
  const batches = function* () {
    const first = born(sessionId);
    let state = first.state;
    let records: LogRecord[] = [first.record];
    const note = (fact: Fact): void => {
      const record = { ...fact, seq: state.seq + 1, ts: new Date().toISOString() } as LogRecord;
      state = fold(state, record);
      records.push(record);
    };
    for (let turn = 0; state.seq < count; turn++) {
      for (const fact of turnFacts(`turn-${turn}`, Math.min(TOKENS_A_TURN, count - state.seq - 3))) note(fact);
      yield [commitOf(state, records, true)];
      records = [];
    }
  };
  return committed(home, batches());
};

/** One session of `turns` turns with a question and an answer each: twice as many messages. */
export const seedTurns = (home: string, sessionId: string, turns: number): Promise<void> => {
  const batches = function* () {
    const first = born(sessionId);
    let state = first.state;
    let records: LogRecord[] = [first.record];
    for (let turn = 0; turn < turns; turn++) {
      for (const fact of turnFacts(`turn-${turn}`, 2)) {
        const record = { ...fact, seq: state.seq + 1, ts: new Date().toISOString() } as LogRecord;
        state = fold(state, record);
        records.push(record);
      }
      const last = turn === turns - 1;
      if (records.length < COMMIT_RECORDS && !last) continue;
      yield [commitOf(state, records, last)];
      records = [];
    }
  };
  return committed(home, batches());
};

const turnFacts = (turnId: string, tokens: number): Fact[] => {
  const by = { turnId, writerId: 'bench', clientId: 'bench' };
  const queued = { queueSize: 1, position: 1, content: 'go on', mode: 'chat', onBusy: 'enqueue' } as const;
  const stats = {
    tokens,
    promptTokens: 1,
    completionTokens: tokens,
    toolCalls: 0,
    elapsed: 1,
    elapsedMs: 1000,
    speed: tokens,
    firstTokenLatencyMs: 1,
  };
  return [
    { event: 'turn.queued', payload: { ...by, ...queued } },
    { event: 'turn.start', payload: { ...by, mode: 'chat' } },
    ...Array.from({ length: tokens }, (): Fact => ({ event: 'turn.token', payload: { turnId, text: TEXT, step: 1 } })),
    { event: 'turn.done', payload: { ...by, stats, outcome: 'done' } },
  ];
};
