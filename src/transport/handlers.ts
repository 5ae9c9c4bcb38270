import { LIMITS } from '../actors/limits.ts';
import type { Done, LogPage } from '../actors/ports.ts';
import type { CancelResult, Gauge, ResolveResult, Runtime, RuntimeHealth } from '../actors/runtime.ts';
import { CONTRACT } from '../protocol/envelope.ts';
import { type ErrorCode, OptaError } from '../protocol/errors.ts';
import type { OperationInput, OperationOutput } from '../protocol/operations.ts';
import { type SessionState, toSnapshot } from '../protocol/session-state.ts';
import { ask, type Timers } from './ask.ts';
import type { Answer, Handlers } from './dispatch.ts';
import type { Latency } from './latency.ts';

/** Facts of `/v3/health` that neither the runtime nor the transport knows. */
export interface HealthFacts {
  toolWorkers: { workers: number; busy: number; queued: number };
  engine: unknown;
}

export interface HandlerDeps {
  runtime: Runtime;
  version: string;
  transport: { adapter: string; why: string };
  latency: Latency;
  facts(): HealthFacts;
  /** The transport's own bounds and how full they are. */
  gauges(): Gauge[];
  now(): number;
  timers: Timers;
}

/** A cancel is answered when its turns have ended ([CX2]), so it may take their whole deadline. */
const CANCEL_ASK_MS = LIMITS.cancelDeadlineMs + LIMITS.toolKillDeadlineMs + LIMITS.askDeadlineMs;
const SESSIONS_PAGE = 50;

export const handlers = (deps: HandlerDeps): Handlers => {
  const { runtime } = deps;
  const within = <T>(call: (done: Done<T>) => void): Promise<T> => ask(deps.timers, LIMITS.askDeadlineMs, call);
  const runtimeFacts = (health: RuntimeHealth) => ({
    sessionCount: health.sessionCount,
    activeTurnCount: health.activeTurnCount,
    queuedTurnCount: health.queuedTurnCount,
    subscriberCount: health.subscriberCount,
    ingressSeq: health.ingressSeq,
    toolWorkers: deps.facts().toolWorkers,
    latency: deps.latency.facts(),
  });

  return {
    health: () => ({ body: { status: 'ok', version: deps.version, daemon: true } }),
    readyz: () => ({ body: { ready: true, state: readyState(runtime.health()) } }),
    'v3.health': () => {
      const health = runtime.health();
      return {
        body: {
          status: health.state === 'ready' ? 'ok' : health.state,
          version: deps.version,
          daemonId: runtime.daemonId,
          contract: CONTRACT,
          runtime: runtimeFacts(health),
          state: health.state,
          quarantined: health.quarantined,
          transport: deps.transport,
          engine: deps.facts().engine,
          storage: health.storage,
        },
      };
    },
    'v3.metrics': () => ({
      body: {
        daemonId: runtime.daemonId,
        runtime: runtimeFacts(runtime.health()),
        ts: new Date(deps.now()).toISOString(),
        limits: [...runtime.metrics(), ...deps.gauges()],
      },
    }),

    'sessions.create': async ({ body }) => ({ body: await within((done) => runtime.create(body, done)) }),
    'sessions.list': async ({ query }) => {
      const page = {
        limit: query.limit ?? SESSIONS_PAGE,
        ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
      };
      return { body: await within((done) => runtime.list(page, done)) };
    },
    'sessions.get': async ({ params }) => {
      const state = await named(
        'Session not found',
        within<SessionState>((done) => runtime.get(params.id, done)),
      );
      return { body: { ...toSnapshot(state), messages: state.messages } };
    },
    'turns.submit': async ({ params, body }) => {
      const missing = `Session not found: ${params.id}`;
      return {
        body: await named(
          missing,
          within((done) => runtime.submit(params.id, body, done)),
        ),
      };
    },
    'turns.cancel': async ({ params, body }) => {
      const cancelling = ask<CancelResult>(deps.timers, CANCEL_ASK_MS, (done) => runtime.cancel(params.id, body, done));
      const result = await named('Session not found', cancelling);
      return { body: { ok: true, ...result } };
    },
    'permissions.resolve': (input) => resolvePermission(deps, input),

    'events.read': async ({ params, query }) => ({
      json: await readEvents(deps, params.id, query.afterSeq ?? 0, query.limit ?? Number.POSITIVE_INFINITY),
    }),
    inspect: async () => ({ body: await within((done) => runtime.inspect(null, done)) }),
    'sessions.inspect': async ({ params }) => ({
      body: await named(
        'Session not found',
        within((done) => runtime.inspect(params.id, done)),
      ),
    }),
    'sessions.why': async ({ params }) => ({
      body: await named(
        'Session not found',
        within((done) => runtime.why(params.id, done)),
      ),
    }),
  };
};

/** The wording that existing clients know, whatever the runtime says. */
const named = async <T>(message: string, answer: Promise<T>): Promise<T> => {
  try {
    return await answer;
  } catch (fault) {
    if (fault instanceof OptaError && fault.code === 'session-not-found') {
      throw new OptaError('session-not-found', message, fault.facts);
    }
    throw fault;
  }
};

const NOT_READY: { [state in RuntimeHealth['state']]: ErrorCode } = {
  starting: 'daemon-unreachable',
  ready: 'internal',
  'read-only': 'storage-read-only',
  draining: 'shutting-down',
  stopped: 'shutting-down',
};

const readyState = ({ state }: RuntimeHealth): 'ready' => {
  if (state === 'ready') return state;
  throw new OptaError(NOT_READY[state], `Not ready: ${state}`, { ready: false, state });
};

/** Both bodies of a failure say what a client before `code` looks at: `ok`, `conflict`, `message`. */
const refused = (code: ErrorCode, message: string, facts: object): OptaError =>
  new OptaError(code, message, { ok: false, conflict: code === 'permission-resolved', message, ...facts });

const resolvePermission = async (
  { runtime, timers }: HandlerDeps,
  { params, body }: OperationInput<'permissions.resolve'>,
): Promise<Answer<OperationOutput<'permissions.resolve'>>> => {
  if (params.requestId !== undefined && body.requestId !== undefined && params.requestId !== body.requestId) {
    throw refused('invalid-request', 'The request ids of the path and of the body differ', {});
  }
  const requestId = params.requestId ?? body.requestId;
  if (requestId === undefined) throw refused('invalid-request', 'Invalid request body: requestId is missing', {});
  try {
    const result = await ask<ResolveResult>(timers, LIMITS.askDeadlineMs, (done) =>
      runtime.resolve(params.id, { ...body, requestId }, done),
    );
    if (result.ok) return { body: { ok: true, conflict: false, decision: result.decision } };
    throw refused('permission-resolved', 'Permission request already resolved', {
      decision: result.decision,
      decidedBy: result.decidedBy,
    });
  } catch (fault) {
    if (!(fault instanceof OptaError)) throw fault;
    if (fault.code === 'permission-not-found') throw refused(fault.code, 'Unknown permission request', fault.facts);
    if (fault.code === 'session-not-found') throw refused(fault.code, 'Session not found', fault.facts);
    throw fault;
  }
};

/**
 * [EV3] The stored texts are joined, never parsed and written again: the bytes of the answer are the bytes that were published.
 * Reads page by page, so a long log neither blocks the loop nor waits in memory beyond one answer.
 */
const readEvents = async (
  { runtime, timers }: HandlerDeps,
  sessionId: string,
  afterSeq: number,
  limit: number,
): Promise<string> => {
  const texts: string[] = [];
  let chars = 0;
  let cursor = afterSeq;
  let head = 0;
  do {
    const room = Math.min(limit - texts.length, LIMITS.readPageRecordsMax);
    const page = await ask<LogPage>(timers, LIMITS.askDeadlineMs, (done) =>
      runtime.read(sessionId, cursor, room, done),
    );
    const last = page.records.at(-1);
    head = page.head;
    if (!last) break;
    for (const record of page.records) {
      texts.push(record.text);
      chars += record.text.length;
    }
    cursor = last.seq;
  } while (cursor < head && texts.length < limit && chars < LIMITS.eventsReplyBytesMax);
  const more = texts.length > 0 && cursor < head && texts.length < limit;
  return `{"events":[${texts.join(',')}]${more ? ',"more":true' : ''}}`;
};
