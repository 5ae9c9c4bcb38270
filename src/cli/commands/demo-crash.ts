import { setTimeout as sleep } from 'node:timers/promises';
import { type Attachment, attach } from '../../client/attach.ts';
import { isAlive } from '../../client/daemon-state.ts';
import { requireDaemon } from '../../client/discover.ts';
import { daemonHttp } from '../../client/http.ts';
import { OptaError } from '../../protocol/errors.ts';
import { isTerminal, type LogRecord } from '../../protocol/events.ts';
import { EXIT } from '../exit.ts';
import { colour, seconds } from '../output.ts';
import type { DemoWorld } from './demo-world.ts';

const WORDS = 20_000;
const WORDS_PER_SECOND = 2_000;
/** The kill comes when this many events were seen: in the middle of the stream. */
const KILL_AFTER_EVENTS = 150;
const PHASE_DEADLINE_MS = 20_000;

/**
 * Kills the demo's own daemon in mid-stream with SIGKILL, starts it again, goes on from the cursor, and compares every event
 * that was seen, byte for byte, with the log as it is afterwards ([EV4], [CR1]). Exit 1 when one is missing or differs.
 */
export const crashDemo = async (world: DemoWorld): Promise<number> => {
  const { http, say, workspace } = world;
  const session = await http.createSession({ title: 'crash demo', metadata: { workspace, source: 'opta demo' } });
  const seen = collect(world, session.sessionId);
  try {
    const { turnId } = await http.submitTurn(session.sessionId, {
      clientId: 'opta-demo',
      writerId: 'opta-demo',
      content: `stream ${WORDS} words at ${WORDS_PER_SECOND}`,
      mode: 'chat',
    });
    await until(world, () => seen.texts.size >= KILL_AFTER_EVENTS, 'enough of the answer to kill it in the middle');
    await kill(world);
    const before = seen.texts.size;
    say(`kill -9    pid ${world.daemon.state.pid} after ${before} events were seen, in mid-stream`);
    const restartedAt = performance.now();
    const again = await world.start();
    say(
      `restarted  pid ${again.state.pid} in ${seconds(performance.now() - restartedAt)}; recovered before it listened`,
    );
    const head = await headOf(world, session.sessionId);
    if (head >= before) {
      await until(world, () => seen.end(turnId) !== null, 'the turn to be closed');
      const end = seen.end(turnId) as LogRecord;
      say(`resumed    by cursor ${before}: ${seen.texts.size - before} more events; the turn is ${outcomeOf(end)}`);
    }
    return await compare(world, session.sessionId, seen.texts, before);
  } finally {
    seen.attachment.close();
  }
};

interface Collected {
  attachment: Attachment;
  /** Frames as they came, by `seq`. */
  texts: Map<number, string>;
  end(turnId: string): LogRecord | null;
}

const collect = (world: DemoWorld, sessionId: string): Collected => {
  const texts = new Map<number, string>();
  const ends = new Map<string, LogRecord>();
  const attachment = attach({
    sessionId,
    afterSeq: 0,
    address: () => requireDaemon(world.ctx.paths.stateFile),
    retryForMs: PHASE_DEADLINE_MS,
    backoff: { baseMs: 20, maxMs: 200 },
    onEnvelope: ({ record, seq }, text) => {
      texts.set(seq, text);
      if (isTerminal(record)) ends.set((record.payload as { turnId: string }).turnId, record);
    },
  });
  return { attachment, texts, end: (turnId) => ends.get(turnId) ?? null };
};

/** SIGKILL, to the daemon that this demo has started and no other. */
const kill = async (world: DemoWorld): Promise<void> => {
  const { started, state } = world.daemon;
  if (!started) throw new OptaError('internal', 'The daemon is not of this demo: it is not killed');
  process.kill(state.pid, 'SIGKILL');
  await until(world, () => !isAlive(state.pid), 'the daemon to be dead');
};

const outcomeOf = (end: LogRecord): string =>
  end.event === 'turn.error'
    ? `closed as ${end.payload.outcome}${end.payload.partial ? ', its text so far kept' : ''}`
    : 'done: it had ended before the kill';

/** `seq` of the newest event of the restarted daemon; 0 when it does not know the session. */
const headOf = async (world: DemoWorld, sessionId: string): Promise<number> => {
  const http = daemonHttp(await requireDaemon(world.ctx.paths.stateFile));
  try {
    return (await http.getSession(sessionId)).seq ?? 0;
  } catch (cause) {
    if (cause instanceof OptaError && cause.code === 'session-not-found') return 0;
    throw cause;
  } finally {
    http.close();
  }
};

/** Reads the whole log anew and holds every seen frame against it. */
const compare = async (
  world: DemoWorld,
  sessionId: string,
  seen: ReadonlyMap<number, string>,
  beforeKill: number,
): Promise<number> => {
  const head = await headOf(world, sessionId);
  const log = collect(world, sessionId);
  try {
    await until(world, () => log.texts.size >= head, 'the log to be read');
  } finally {
    log.attachment.close();
  }
  const lost = [...seen.keys()].filter((seq) => !log.texts.has(seq));
  const changed = [...seen].filter(([seq, text]) => log.texts.has(seq) && log.texts.get(seq) !== text);
  const bad = lost.length + changed.length;
  const mark = bad === 0 ? colour.green('✓') : colour.red('✗');
  world.say(`compared   ${seen.size} seen events with the log of ${log.texts.size}, byte for byte`);
  world.say(
    `${mark} lost: ${lost.length} of ${seen.size} (${beforeKill} of them seen before the kill); changed: ${changed.length}`,
  );
  return bad === 0 ? EXIT.ok : EXIT.error;
};

const until = async (world: DemoWorld, check: () => boolean, what: string): Promise<void> => {
  const deadline = Date.now() + PHASE_DEADLINE_MS;
  while (!check()) {
    if (world.signal.aborted) throw new OptaError('cancelled', 'Interrupted');
    if (Date.now() > deadline) throw new OptaError('timeout', `Waited ${PHASE_DEADLINE_MS / 1_000} s for ${what}`);
    await sleep(5);
  }
};
