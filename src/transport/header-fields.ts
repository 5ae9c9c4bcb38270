import { OptaError } from '../protocol/errors.ts';
import { type Operation, type OperationId, operation } from '../protocol/operations.ts';
import type { RawInput } from './dispatch.ts';

/**
 * Takes in the request headers that count as fields of an operation ([TQ5]): of its body when it has one, else of its query. What
 * is no object stays as it is, for the schema to refuse. Throws `invalid-request` for a field that is given both ways and differs,
 * unless its header wins.
 */
export const withHeaderFields = (
  id: OperationId,
  headers: ReadonlyMap<string, string>,
  { params, query, body }: RawInput,
): RawInput => {
  const row: Operation = operation(id);
  const place = row.body === null ? 'query' : 'body';
  const given = Object.entries(row.headers ?? {}).flatMap(([header, field]) => {
    const value = headers.get(header);
    return value === undefined ? [] : [{ header, field, value }];
  });
  const into: unknown = place === 'query' ? query : (body ?? (body === undefined || row.nullIsEmpty ? {} : body));
  if (given.length === 0 || !isFields(into)) return { params, query, body };
  const fields = { ...into };
  for (const { header, field, value } of given) {
    if (!WINS.has(header) && Object.hasOwn(into, field) && into[field] !== value) {
      throw new OptaError('invalid-request', `The ${header} header and ${field} differ`, {
        details: [{ path: [field], message: `must be what the ${header} header says` }],
      });
    }
    fields[field] = value;
  }
  return place === 'query' ? { params, query: fields, body } : { params, query, body: fields };
};

/**
 * A browser that reconnects by itself repeats the URL that it began with, and says in the header how far it has come since: a
 * refusal would be its last answer, since the URL never changes.
 */
const WINS: ReadonlySet<string> = new Set(['last-event-id']);

const isFields = (value: unknown): value is { [field: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
