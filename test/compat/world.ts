import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FakeLmx, type FakeLmxOptions, startFakeLmx } from '../support/fake-lmx.ts';
import { type Client, type Frame, type RealDaemon, startDaemon } from './daemon.ts';
import { DIFFERENCES, type DifferenceId, namedDifferences, type Plane } from './differences.ts';

/** A daemon with its inference server, from the first test of a file to its last. */
export const aWorld = (
  options: FakeLmxOptions = {},
  env: NodeJS.ProcessEnv = { OPTA_MODEL: 'fake-model' },
): { readonly lmx: FakeLmx; readonly daemon: RealDaemon } => {
  const world = {} as { lmx: FakeLmx; daemon: RealDaemon };
  beforeAll(async () => {
    world.lmx = await startFakeLmx(options);
    world.daemon = await startDaemon(world.lmx.port, env);
  });
  afterAll(async () => {
    await world.daemon?.stop();
    await world.lmx?.close();
  });
  return world;
};

/** To be called last in a file: a row that none of its assertions named is a claim without a test. */
export const everyDifferenceIsTold = (plane: Plane): void => {
  test('every difference that is claimed is asserted above, and docs/COMPATIBILITY.md tells of it', () => {
    const ids = (Object.keys(DIFFERENCES) as DifferenceId[]).filter((id) => DIFFERENCES[id].plane === plane);
    expect(ids.filter((id) => !namedDifferences.has(id))).toEqual([]);
    const page = readFileSync(new URL('../../docs/COMPATIBILITY.md', import.meta.url), 'utf8');
    expect(ids.filter((id) => !page.includes(`\`${id}\``))).toEqual([]);
  });
};

export const ID = expect.stringMatching(/^[A-Za-z0-9_-]{12}$/);
export const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
export const NUMBER = expect.any(Number);

/** A session that nothing has happened to. `seq` and `revision` are ours. */
export const idle = (sessionId: unknown, more: object = {}) => ({
  sessionId,
  model: 'fake-model',
  createdAt: ISO,
  updatedAt: ISO,
  queuedTurns: 0,
  toolCallCount: 0,
  writerCount: 0,
  ...more,
});
export const withCursor = { seq: NUMBER, revision: NUMBER };

export const refused = (error: unknown, code: string, more: object = {}) => ({
  error,
  code,
  retryable: false,
  ...more,
});
export const UNAUTHORIZED = refused('Unauthorized', 'unauthorized');

export const runtimeFacts = {
  sessionCount: NUMBER,
  activeTurnCount: NUMBER,
  queuedTurnCount: NUMBER,
  subscriberCount: NUMBER,
  ingressSeq: NUMBER,
  toolWorkers: { workers: NUMBER, busy: NUMBER, queued: NUMBER },
  latency: { p50Ms: NUMBER, p99Ms: NUMBER, samples: NUMBER },
};

export const turn = (content: string, more: object = {}) => ({
  clientId: 'desk',
  writerId: 'ada',
  content,
  mode: 'chat',
  ...more,
});
export const submit = (sessionId: string, content: string, more: object = {}) => ({
  type: 'turn.submit',
  sessionId,
  ...turn(content, more),
});
export const path = (sessionId: string, more = '') => `/v3/ws?sessionId=${sessionId}${more}&token=$TOKEN`;
export const opened = async (daemon: RealDaemon, sessionId: string, more = ''): Promise<Client> => {
  expect((await daemon.post('/v3/sessions', { sessionId })).status).toBe(201);
  return daemon.connect(path(sessionId, more));
};

export const isAck = (action: string) => (f: Frame) => f.type === 'ack' && f.action === action;
export const isEvent = (event: string, turnId?: unknown) => (f: Frame) =>
  f.event === event && (turnId === undefined || f.payload?.turnId === turnId);
export const isTerminal = (turnId: unknown) => (f: Frame) =>
  isEvent('turn.done', turnId)(f) || isEvent('turn.error', turnId)(f);

export const eventsOf = async (daemon: RealDaemon, sessionId: string, afterSeq = 0): Promise<Frame[]> => {
  const answer = await daemon.get(`/v3/sessions/${sessionId}/events?afterSeq=${afterSeq}`);
  expect(answer.status).toBe(200);
  return (answer.body as { events: Frame[] }).events;
};
/** The stored events once the turn has ended and the session says so. */
export const settled = async (daemon: RealDaemon, sessionId: string, turnId: unknown): Promise<Frame[]> => {
  const watcher = await daemon.connect(path(sessionId));
  await watcher.frame(isTerminal(turnId), 'the end of the turn');
  await watcher.close();
  return eventsOf(daemon, sessionId);
};
/** Names in order, with each run of text as one entry: how text is split is nobody's promise. */
export const outline = (frames: readonly Frame[]): string[] =>
  frames
    .flatMap((f) => (f.event === undefined ? [] : [f.event]))
    .filter((e, i, all) => e !== 'turn.token' || all[i - 1] !== e);
export const textOf = (frames: readonly Frame[], turnId?: unknown): string =>
  frames
    .filter(isEvent('turn.token', turnId))
    .map((f) => f.payload?.text)
    .join('');
export const expectGapless = (frames: readonly Frame[], from: number): void => {
  const seqs = frames.flatMap((f) => (f.event === undefined ? [] : [f.seq as number]));
  expect(seqs).toEqual(seqs.map((_, i) => from + i));
};
export const messagesOf = async (daemon: RealDaemon, sessionId: string): Promise<unknown> =>
  ((await daemon.get(`/v3/sessions/${sessionId}`)).body as { messages: unknown }).messages;

export const A_TURN = ['turn.queued', 'turn.start', 'turn.progress', 'turn.token', 'turn.done', 'session.updated'];
export const words = (count: number) => Array.from({ length: count }, (_, i) => ` tok${i}`).join('');
