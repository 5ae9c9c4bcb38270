import { LIMITS } from '../../actors/limits.ts';
import { type Background, toProcess } from '../../protocol/background.ts';
import { type OutputPage, readOutput } from '../../protocol/background-output.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { BACKGROUND_OPERATIONS } from '../../protocol/operations/background.ts';
import type { OperationInput } from '../../protocol/operations.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import type { HandlersOf } from '../dispatch.ts';
import { CANCEL_ASK_MS, type HandlerDeps, within } from './deps.ts';

const CHUNKS_PAGE = 200;

/** Commands go to the session of a process; what is told of one is in its committed state and log. */
export const backgroundHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof BACKGROUND_OPERATIONS> => {
  const { runtime } = deps;
  const get = (sessionId: string) => within<SessionState>(deps, (done) => runtime.get(sessionId, done));
  const told = (f: SessionState, p: Background) => toProcess(f.sessionId, p, deps.now());

  /** A process belongs to its session: below another one's id it is not found. */
  const find = async ({ processId }: { processId: string }, sessionId: string | undefined) => {
    const [home] = sessionId === undefined ? runtime.backgroundHomes(processId) : [sessionId];
    const f = await get(home ?? '').catch((fault) => {
      if (fault instanceof OptaError && fault.code === 'session-not-found') return null;
      throw fault;
    });
    const p = f?.background.find((one) => one.processId === processId);
    if (!f || !p) throw new OptaError('background-not-found', 'Background process not found');
    return { f, p };
  };

  return {
    'background.list': async ({ query: { sessionId } }) => {
      const states = await Promise.all((sessionId === undefined ? runtime.backgroundHomes() : [sessionId]).map(get));
      return { body: { processes: states.flatMap((f) => f.background.map((p) => told(f, p))) } };
    },
    'background.start': async ({ body }) => ({
      body: await within(deps, (done) => runtime.startBackground(body, done)),
    }),
    'background.status': async ({ params, query }) => {
      const { f, p } = await find(params, query.sessionId);
      return { body: { process: told(f, p) } };
    },
    'background.output': async ({ params, query }) => {
      const { f, p } = await find(params, query.sessionId);
      return { body: { process: told(f, p), ...(await outputOf(deps, f.sessionId, p, query)) } };
    },
    'background.kill': async ({ params, query, body }) => {
      const { f, p } = await find(params, query.sessionId);
      const kill = (done: Parameters<typeof runtime.killBackground>[3]): void =>
        runtime.killBackground(f.sessionId, p.processId, body.signal ?? 'SIGTERM', done);
      return { body: await within(deps, kill, CANCEL_ASK_MS) };
    },
  };
};

const outputOf = (
  deps: HandlerDeps,
  sessionId: string,
  process: Background,
  { afterSeq = 0, limit = CHUNKS_PAGE, stream = 'both' }: OperationInput<'background.output'>['query'],
): Promise<OutputPage> =>
  within(deps, (done) =>
    readOutput(
      (cursor, then) => deps.runtime.read(sessionId, cursor, LIMITS.readPageRecordsMax, then),
      process,
      { afterSeq, limit, stream },
      LIMITS.eventsReplyBytesMax,
      done,
    ),
  );
