import { createHash } from 'node:crypto';
import { LIMITS } from '../../actors/limits.ts';
import type { LmxChange, LmxRead } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { LMX_OPERATIONS } from '../../protocol/operations/lmx.ts';
import type { OperationOutput } from '../../protocol/operations.ts';
import type { Answer, HandlersOf } from '../dispatch.ts';
import { type HandlerDeps, within } from './deps.ts';

/** The administration keeps its own deadlines; this one is for an answer that it owes. */
const READ_ASK_MS = LIMITS.lmxReadMs + LIMITS.askDeadlineMs;
const CHANGE_ASK_MS = LIMITS.lmxChangeMs + LIMITS.askDeadlineMs;

export const lmxHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof LMX_OPERATIONS> => {
  const host = () => {
    if (deps.lmx) return deps.lmx;
    throw new OptaError('lmx-connection-refused', 'No LMX is configured: this daemon answers with its demo engine');
  };
  const read = async <T>(call: LmxRead): Promise<{ body: T }> => ({
    body: (await within<unknown>(deps, (done) => host().admin.run(call, done), READ_ASK_MS)) as T,
  });
  const change = async <T>(call: () => LmxChange): Promise<{ body: T }> => {
    const refused = host().mayAdminister();
    if (refused) throw refused;
    const asked = call();
    return { body: (await within<unknown>(deps, (done) => host().admin.run(asked, done), CHANGE_ASK_MS)) as T };
  };
  return {
    'lmx.status': () => read({ ask: 'status' }),
    'lmx.discovery': () => read({ ask: 'discovery' }),
    'lmx.models': async ({ query }) => tagged((await read<Models>({ ask: 'models' })).body, query.ifNoneMatch),
    'lmx.memory': () => read({ ask: 'memory' }),
    'lmx.available': () => read({ ask: 'available' }),
    'lmx.downloads': async ({ query }) => read({ ask: 'downloads', includeInactive: isTrue(query.includeInactive) }),
    'lmx.progress': async ({ params }) => read({ ask: 'progress', downloadId: inPath(params.id, 'downloadId') }),
    'lmx.load': ({ body: { modelId, ...options } }) =>
      change(() => ({ ask: 'load', modelId: given(modelId, 'modelId'), options })),
    'lmx.confirm': ({ body }) => {
      const token = body.confirmationToken ?? body.confirmation_token;
      return change(() => ({ ask: 'confirm', confirmationToken: given(token, 'confirmationToken') }));
    },
    'lmx.unload': ({ body }) => change(() => ({ ask: 'unload', modelId: given(body.modelId, 'modelId') })),
    'lmx.download': ({ body: { repoId, ...options } }) =>
      change(() => ({ ask: 'download', repoId: given(repoId, 'repoId'), options })),
    'lmx.delete': ({ params }) => change(() => ({ ask: 'delete', modelId: inPath(params.id, 'modelId') })),
  };
};

type Models = OperationOutput<'lmx.models'>;

const given = (value: string | undefined, name: string): string => {
  if (value === undefined || value.trim() === '') throw new OptaError('invalid-request', `Missing ${name}`);
  return value;
};

/** It becomes a part of a path there, with its slashes: nothing in it may lead to another one. */
const inPath = (value: string, name: string): string => {
  const parts = given(value, name).split('/');
  if (parts.some((part) => ['', '.', '..'].includes(part))) throw new OptaError('invalid-request', `Invalid ${name}`);
  return value;
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
  const tags = known.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || tags.includes('*') ? { text: '', type: '', status: 304, headers } : { json, headers };
};
