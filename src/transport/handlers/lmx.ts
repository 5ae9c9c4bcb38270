import { createHash } from 'node:crypto';
import { LIMITS } from '../../actors/limits.ts';
import { OptaError } from '../../protocol/errors.ts';
import { LMX_OPERATIONS, type LmxOperationId } from '../../protocol/operations/lmx.ts';
import { type OperationInput, type OperationOutput, operation } from '../../protocol/operations.ts';
import type { Answer, HandlersOf } from '../dispatch.ts';
import { type HandlerDeps, within } from './deps.ts';
import { isKnown } from './etag.ts';

/** The administration keeps its own deadlines; this one is for an answer that it owes. */
const ASK_MS = LIMITS.lmxChangeMs + LIMITS.askDeadlineMs;

/** The field that an operation cannot do without; `:id` of the path goes by this name too. */
const NEEDS: { [id in LmxOperationId]?: string } = {
  'lmx.progress': 'downloadId',
  'lmx.load': 'modelId',
  'lmx.confirm': 'confirmationToken',
  'lmx.unload': 'modelId',
  'lmx.download': 'repoId',
  'lmx.delete': 'modelId',
  'lmx.performance': 'modelId',
  'lmx.quantization': 'jobId',
  'lmx.agent': 'runId',
  'lmx.skill': 'skill',
};

interface Input {
  params: { id?: string };
  query: { readonly [name: string]: unknown };
  body?: { readonly [name: string]: unknown } | undefined;
}

export const lmxHandlers = (deps: HandlerDeps): HandlersOf<LmxOperationId> => {
  const run = async <T>(id: LmxOperationId, { params, query, body }: Input): Promise<{ body: T }> => {
    const { lmx } = deps;
    if (!lmx)
      throw new OptaError(
        'lmx-connection-refused',
        'No LMX is configured: this daemon answers with its demo engine. With one: opta daemon restart --engine lmx',
      );
    // What may be refused by the host policy asks it first.
    const refused = operation(id).errors.includes('host-policy') ? lmx.mayAdminister() : null;
    if (refused) throw refused;
    const need = NEEDS[id];
    if (need !== undefined) checkNeeded(need, body?.[need] ?? params.id, params.id !== undefined);
    const call = { id, fields: body ?? query, ...(params.id === undefined ? {} : { item: params.id }) };
    return { body: (await within<unknown>(deps, (done) => lmx.admin.run(call, done), ASK_MS)) as T };
  };
  const passed = (Object.keys(LMX_OPERATIONS) as LmxOperationId[]).map((id) => [id, (input: Input) => run(id, input)]);
  return {
    ...(Object.fromEntries(passed) as HandlersOf<LmxOperationId>),
    'lmx.models': async (input) => {
      const { body } = await run<Models>('lmx.models', { ...input, query: {} });
      return tagged(body, input.query.ifNoneMatch);
    },
    'lmx.downloads': ({ params, query }: OperationInput<'lmx.downloads'>) =>
      run('lmx.downloads', { params, query: { includeInactive: isTrue(query.includeInactive) } }),
  };
};

type Models = OperationOutput<'lmx.models'>;

/** In a path its slashes are kept: nothing in it may lead to another place. */
const checkNeeded = (name: string, value: unknown, inPath: boolean): void => {
  if (typeof value !== 'string' || value.trim() === '') throw new OptaError('invalid-request', `Missing ${name}`);
  if (inPath && value.split('/').some((part) => ['', '.', '..'].includes(part)))
    throw new OptaError('invalid-request', `Invalid ${name}`);
};

const isTrue = (text = 'false'): boolean => {
  if (/^(?:true|1)$/i.test(text)) return true;
  if (/^(?:false|0)$/i.test(text)) return false;
  throw new OptaError('invalid-request', 'Invalid includeInactive value (expected boolean)');
};

/** The tag is the old daemon's, so that what a client has kept stays good. */
const tagged = (models: Models, known = ''): Answer<Models> => {
  const json = JSON.stringify(models);
  const etag = `"${createHash('sha256').update(json).digest('hex').slice(0, 16)}"`;
  const headers = [['etag', etag]] as const;
  return isKnown(etag, known) ? { text: '', type: '', status: 304, headers } : { json, headers };
};
