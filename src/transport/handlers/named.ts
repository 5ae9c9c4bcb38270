import { errorRow, errorStatus, OptaError, toOptaError } from '../../protocol/errors.ts';
import type { NAMED_OPERATIONS, OperationReply } from '../../protocol/operations/named.ts';
import type { Caller, HandlersOf } from '../dispatch.ts';
import type { HandlerDeps } from './deps.ts';

export const namedHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof NAMED_OPERATIONS> => ({
  'operations.list': () => ({ body: { operations: deps.operations().list() } }),
  'operations.run': async ({ params: { operationId: id }, body }, caller) => {
    const answer = await runNamed(deps, id, body, caller);
    // In the words that existing clients know.
    if (answer === null) throw unknownOperation(deps, id, 'Invalid operation id', 'id');
    return answer;
  },
});

/** What a run answers, with the status of a failure; null for an id that nobody knows. */
export const runNamed = async (
  deps: HandlerDeps,
  id: string,
  asked: { input?: unknown; confirmDangerous?: boolean | undefined },
  caller: Caller,
): Promise<{ body: OperationReply; status?: number } | null> => {
  const found = deps.operations().find(id);
  if (found === undefined) return null;
  const { safety, absent } = found;
  const refused = (error: OptaError, code: string = error.code, status = errorStatus(error)) => ({
    body: {
      ok: false as const,
      id,
      safety,
      error: { ...error.facts, code, message: error.message, retryable: errorRow(error.code).retryable },
    },
    status,
  });
  // Nobody should be asked to confirm what cannot run.
  if (absent !== undefined) return refused(new OptaError('not-in-this-build', absent));
  if (safety === 'dangerous' && asked.confirmDangerous !== true) {
    const message = `${id} is dangerous: run it with confirmDangerous`;
    return refused(new OptaError('invalid-request', message), 'dangerous_confirmation_required', 403);
  }
  try {
    return { body: { ok: true, id, safety, result: await deps.operations().run(id, asked.input, caller) } };
  } catch (cause) {
    if (!(cause instanceof OptaError)) deps.onFault(id, cause);
    return refused(cause instanceof OptaError ? cause : toOptaError(new Error('Internal error')));
  }
};

export const unknownOperation = (deps: HandlerDeps, id: string, message: string, field: string): OptaError => {
  const values = deps
    .operations()
    .list()
    .map((row) => row.id);
  const details = [{ code: 'invalid_value', path: [field], message: `Unknown operation ${id}`, values }];
  return new OptaError('invalid-request', message, { details });
};
