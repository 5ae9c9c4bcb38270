import { createHash } from 'node:crypto';
import type { DocumentName } from '../../protocol/describe/documents.ts';
import type { API_OPERATIONS } from '../../protocol/operations/api.ts';
import type { Answer, HandlersOf } from '../dispatch.ts';
import { isKnown } from './etag.ts';

interface Kept {
  json: string;
  etag: string;
}

/** Made at the first request, since most daemons are never asked; then kept. */
export const apiHandlers = (): HandlersOf<keyof typeof API_OPERATIONS> => {
  const kept = new Map<DocumentName, Promise<Kept>>();
  const document = (name: DocumentName): Promise<Kept> => {
    const made = kept.get(name) ?? make(name);
    kept.set(name, made);
    return made;
  };
  const answer = async <T>(name: DocumentName, known: string | undefined): Promise<Answer<T>> => {
    const { json, etag } = await document(name);
    const headers = [['etag', etag] as const, ['cache-control', 'no-cache'] as const];
    return isKnown(etag, known) ? { text: '', type: '', status: 304, headers } : { json, headers };
  };
  return {
    'api.openapi': ({ query }) => answer('openapi', query.ifNoneMatch),
    'api.asyncapi': ({ query }) => answer('asyncapi', query.ifNoneMatch),
  };
};

const make = async (name: DocumentName): Promise<Kept> => {
  const { documentText } = await import('../../protocol/describe/documents.ts');
  const json = documentText(name);
  return { json, etag: `"${createHash('sha256').update(json).digest('hex').slice(0, 16)}"` };
};
