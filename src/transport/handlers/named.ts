import { errorRow, errorStatus, OptaError, toOptaError } from '../../protocol/errors.ts';
import type { NAMED_OPERATIONS, OperationInfo } from '../../protocol/operations/named.ts';
import type { HandlersOf } from '../dispatch.ts';
import type { HandlerDeps } from './deps.ts';

export const namedHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof NAMED_OPERATIONS> => ({
  'operations.list': () => ({ body: { operations: deps.operations().list() } }),
  'operations.run': async ({ params: { operationId: id }, body }) => {
    const { safety } = infoOf(deps, id);
    const refused = (error: OptaError, code: string = error.code, status = errorStatus(error)) => ({
      body: {
        ok: false as const,
        id,
        safety,
        error: { ...error.facts, code, message: error.message, retryable: errorRow(error.code).retryable },
      },
      status,
    });
    if (safety === 'dangerous' && body.confirmDangerous !== true) {
      const message = `${id} is dangerous: run it with confirmDangerous`;
      return refused(new OptaError('invalid-request', message), 'dangerous_confirmation_required', 403);
    }
    try {
      return { body: { ok: true, id, safety, result: await deps.operations().run(id, body.input) } };
    } catch (cause) {
      if (!(cause instanceof OptaError)) deps.onFault(id, cause);
      const error = cause instanceof OptaError ? cause : toOptaError(new Error('Internal error'));
      return refused(error);
    }
  },
});

/** Throws `invalid-request` in the words that existing clients know. */
const infoOf = (deps: HandlerDeps, id: string): OperationInfo => {
  const known = deps.operations().list();
  const found = known.find((row) => row.id === id);
  if (found) return found;
  const details = [
    { code: 'invalid_value', path: ['id'], message: `Unknown operation ${id}`, values: known.map((r) => r.id) },
  ];
  throw new OptaError('invalid-request', 'Invalid operation id', { details });
};
