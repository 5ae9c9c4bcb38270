import { createHash, type Hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type LogRecord } from '../../src/protocol/events.ts';
import { checkedLog, say } from '../e2e/world.ts';
import type { Random } from '../sim/random.ts';
import { type Daemon, type TestSocket, turnBody, until } from '../support/daemon.ts';

/** What one soak counts, over all of its sessions. */
export interface SoakCounts {
  sessions: number;
  turns: { [outcome: string]: number };
  cancels: number;
  decisions: number;
  reconnects: number;
  frames: number;
  violations: string[];
  /** Of turns that were not cancelled: from the submit to the terminal event at a reader. */
  turnMs: { atMs: number; ms: number }[];
}

const TURNS_A_SESSION = 25;
const TURN_MS = 60_000;
/** Two turns of a session take at least this long: the load is the same at the beginning and at the end of a run. */
const PAIR_MS = 450;

/** A reader that keeps no frames: only its cursor and a running hash of all bytes. */
class HashingReader {
  cursor = 0;
  readonly hash: Hash = createHash('sha256');
  socket: TestSocket | null = null;
  readonly #daemon: Daemon;
  readonly #sessionId: string;
  readonly #counts: SoakCounts;
  readonly #onRecord: (record: LogRecord) => void;

  constructor(daemon: Daemon, sessionId: string, counts: SoakCounts, onRecord: (record: LogRecord) => void) {
    this.#daemon = daemon;
    this.#sessionId = sessionId;
    this.#counts = counts;
    this.#onRecord = onRecord;
  }

  async connect(): Promise<void> {
    const socket = this.#daemon.rawSocket(`/v3/ws?sessionId=${this.#sessionId}&afterSeq=${this.cursor}`, {
      authorization: `Bearer ${this.#daemon.token}`,
    });
    this.socket = socket;
    socket.onRecord = (record, text) => {
      socket.frames.length = 0;
      socket.records.length = 0;
      // What an old socket still had is not seen twice.
      if (this.socket !== socket) return;
      if (record.seq !== this.cursor + 1) {
        this.#counts.violations.push(`EV2: ${this.#sessionId}: ${record.seq} after ${this.cursor}`);
      }
      this.cursor = record.seq;
      this.hash.update(text).update('\n');
      this.#counts.frames += 1;
      this.#onRecord(record);
    };
    await socket.opened;
  }

  cut(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.terminate();
  }
}

/** One place for sessions, each with two writers, a steady reader and one that comes and goes, until `over`. */
export const soakLane = async (
  daemon: Daemon,
  random: Random,
  workspace: string,
  counts: SoakCounts,
  over: () => boolean,
): Promise<void> => {
  while (!over()) await soakSession(daemon, random, workspace, counts, over);
};

const soakSession = async (
  daemon: Daemon,
  random: Random,
  workspace: string,
  counts: SoakCounts,
  over: () => boolean,
): Promise<void> => {
  const sessionId = await daemon.create({ workspace });
  counts.sessions += 1;
  const ends = new Map<string, string>();
  const steady: HashingReader = new HashingReader(daemon, sessionId, counts, (r) => {
    if (isTerminal(r)) ends.set((r.payload as { turnId: string }).turnId, (r.payload as { outcome: string }).outcome);
    if (r.event !== 'permission.request' || !steady.socket) return;
    counts.decisions += 1;
    const decision = random.chance(0.5) ? 'allow' : 'deny';
    steady.socket.send({
      type: 'permission.resolve',
      sessionId,
      requestId: r.payload.requestId,
      decision,
      decidedBy: 'soak',
    });
  });
  const fickle = new HashingReader(daemon, sessionId, counts, () => undefined);
  await steady.connect();
  await fickle.connect();
  let closing = false;
  const churn = (async () => {
    while (!closing) {
      await sleep(random.int(50, 1_500));
      fickle.cut();
      counts.reconnects += 1;
      await fickle.connect();
    }
  })();
  for (let i = 0; i < TURNS_A_SESSION && !over(); i += 2) {
    const pace = sleep(PAIR_MS);
    await Promise.all([
      pace,
      turn(daemon, sessionId, random, 'ana', ends, counts),
      turn(daemon, sessionId, random, 'ben', ends, counts),
    ]);
  }
  closing = true;
  await churn;
  await verify(daemon, sessionId, steady, fickle, counts);
  steady.cut();
  fickle.cut();
};

const turn = async (
  daemon: Daemon,
  sessionId: string,
  random: Random,
  writerId: string,
  ends: Map<string, string>,
  counts: SoakCounts,
): Promise<void> => {
  const startedAt = performance.now();
  const reply = await daemon.post(`/v3/sessions/${sessionId}/turns`, turnBody({ ...turnKind(random), writerId }));
  if (reply.status !== 202) {
    counts.violations.push(`TQ4: a submit was refused: ${reply.text.slice(0, 200)}`);
    return;
  }
  const { turnId } = reply.json as { turnId: string };
  const cancelled = random.chance(0.15);
  if (cancelled) {
    await sleep(random.int(0, 150));
    await daemon.cancel(sessionId, { turnId });
    counts.cancels += 1;
  }
  await until(`turn ${turnId} to end`, () => ends.has(turnId), TURN_MS, 5);
  const outcome = ends.get(turnId) ?? '';
  counts.turns[outcome] = (counts.turns[outcome] ?? 0) + 1;
  if (outcome === 'error' || outcome === 'interrupted') counts.violations.push(`TQ3: ${turnId} ended ${outcome}`);
  if (!cancelled) counts.turnMs.push({ atMs: performance.now(), ms: performance.now() - startedAt });
};

const turnKind = (random: Random): { content: string; mode?: string; overrides?: object } => {
  const kind = random.weighted({ flood: 2, paced: 4, read: 3, search: 1, write: 2, ask: 1, many: 1 });
  const text = 'and here is what I found in the files that you named '.repeat(random.int(1, 12));
  const tools = (...calls: [name: string, args: object][]) =>
    say({ tools: calls.map(([name, args]) => ({ name, args })), preText: 'let me see ', text });
  switch (kind) {
    case 'flood':
      return { content: say({ tokens: random.int(200, 1_500), size: 40 }) };
    case 'paced':
      return { content: say({ tokens: random.int(20, 120), tps: random.int(200, 1_000) }) };
    case 'read':
      return { content: tools(['read_file', { path: 'a.txt' }], ['list_dir', {}]) };
    case 'search':
      return { content: tools(['search_files', { pattern: 'line 1' }]) };
    case 'write':
      return {
        content: tools(['write_file', { path: `w${random.int(0, 20)}.txt`, content: text }]),
        mode: 'do',
        overrides: { auto: true },
      };
    case 'ask':
      return { content: tools(['write_file', { path: 'asked.txt', content: text }]) };
    case 'many':
      return { content: tools(...Array.from({ length: 6 }, (): [string, object] => ['read_file', { path: 'a.txt' }])) };
  }
};

/** Both readers saw the bytes that are stored, and the log is one that may be. */
const verify = async (
  daemon: Daemon,
  sessionId: string,
  steady: HashingReader,
  fickle: HashingReader,
  counts: SoakCounts,
): Promise<void> => {
  const stored = await daemon.log(sessionId);
  await until('the readers to catch up', () => steady.cursor >= stored.length && fickle.cursor >= stored.length);
  const hash = createHash('sha256');
  for (const text of stored) hash.update(text).update('\n');
  const wanted = hash.digest('hex');
  for (const reader of [steady, fickle]) {
    if (reader.hash.digest('hex') !== wanted) counts.violations.push(`EV3: a reader of ${sessionId} saw other bytes`);
  }
  counts.violations.push(...checkedLog(sessionId, stored).violations);
};
