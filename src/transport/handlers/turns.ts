import { LIMITS } from '../../actors/limits.ts';
import type { CancelResult, ResolveResult, Submitted, UndoResult } from '../../actors/runtime.ts';
import { type ErrorCode, OptaError } from '../../protocol/errors.ts';
import type { TURN_OPERATIONS } from '../../protocol/operations/turns.ts';
import type { OperationInput, OperationOutput } from '../../protocol/operations.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import type { Answer, HandlersOf } from '../dispatch.ts';
import { CANCEL_ASK_MS, type HandlerDeps, named, within } from './deps.ts';

const NOT_FOUND = 'Session not found';
/** The files are looked at and written in a tool process, behind whatever runs there. */
const UNDO_ASK_MS = LIMITS.toolDeadlineMs + LIMITS.toolKillDeadlineMs + 1_000;

export const turnHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof TURN_OPERATIONS> => {
  const { runtime } = deps;
  return {
    'turns.submit': async ({ params, body }) => {
      const missing = `Session not found: ${params.id}`;
      const submitted = await named(
        missing,
        within<Submitted>(deps, (done) => runtime.submit(params.id, body, done)),
      );
      return submitted.replayed ? { body: submitted, headers: [['idempotent-replayed', 'true']] } : { body: submitted };
    },
    'turns.cancel': async ({ params, body }) => {
      const cancelling = within<CancelResult>(deps, (done) => runtime.cancel(params.id, body, done), CANCEL_ASK_MS);
      const result = await named(NOT_FOUND, cancelling);
      return { body: { ok: true, ...result } };
    },
    'turns.undo': async ({ params, body: { turnId, writerId, dryRun = false } }) => {
      const undo = { ...(turnId === undefined ? {} : { turnId }), by: writerId, dryRun };
      return {
        body: await named(
          NOT_FOUND,
          within<UndoResult>(deps, (done) => runtime.undo(params.id, undo, done), UNDO_ASK_MS),
        ),
      };
    },
    'queue.list': async ({ params }) => {
      const { queue, active, seq, revision } = await named(
        NOT_FOUND,
        within<SessionState>(deps, (done) => runtime.get(params.id, done)),
      );
      const turns = queue.map((turn, i) => ({ ...turn, position: i + 1 }));
      return { body: { turns, seq, revision, ...(active ? { activeTurnId: active.turnId } : {}) } };
    },
    'queue.edit': async ({ params, body }) => ({
      body: await named(
        NOT_FOUND,
        within(deps, (done) => runtime.editQueued(params.id, params.turnId, body, done)),
      ),
    }),
    'queue.withdraw': async ({ params, query }) => ({
      body: await named(
        NOT_FOUND,
        within(deps, (done) => runtime.withdraw(params.id, params.turnId, query.writerId, done)),
      ),
    }),
    'permissions.resolve': (input) => resolvePermission(deps, input),
  };
};

/** Both bodies of a failure say what a client before `code` looks at: `ok`, `conflict`, `message`. */
const refused = (code: ErrorCode, message: string, facts: object): OptaError =>
  new OptaError(code, message, { ok: false, conflict: code === 'permission-resolved', message, ...facts });

const resolvePermission = async (
  deps: HandlerDeps,
  { params, body }: OperationInput<'permissions.resolve'>,
): Promise<Answer<OperationOutput<'permissions.resolve'>>> => {
  if (params.requestId !== undefined && body.requestId !== undefined && params.requestId !== body.requestId) {
    throw refused('invalid-request', 'The request ids of the path and of the body differ', {});
  }
  const requestId = params.requestId ?? body.requestId;
  if (requestId === undefined) throw refused('invalid-request', 'Invalid request body: requestId is missing', {});
  try {
    const result = await within<ResolveResult>(deps, (done) =>
      deps.runtime.resolve(params.id, { ...body, requestId }, done),
    );
    if (result.ok) return { body: { ok: true, conflict: false, decision: result.decision } };
    throw refused('permission-resolved', 'Permission request already resolved', {
      decision: result.decision,
      decidedBy: result.decidedBy,
    });
  } catch (fault) {
    if (!(fault instanceof OptaError)) throw fault;
    if (fault.code === 'invalid-request') throw refused(fault.code, fault.message, fault.facts);
    if (fault.code === 'permission-not-found') throw refused(fault.code, 'Unknown permission request', fault.facts);
    if (fault.code === 'session-not-found') throw refused(fault.code, 'Session not found', fault.facts);
    throw fault;
  }
};
