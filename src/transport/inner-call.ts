import { OptaError } from '../protocol/errors.ts';
import type { Call, OperationId, OperationOutput } from '../protocol/operations.ts';
import type { Dispatch } from './dispatch.ts';

/** The operations of this daemon for its own use: by the same door as a request, without the wire. Streams are refused. */
export const innerCall =
  (dispatch: Dispatch): Call =>
  async <K extends OperationId>(id: K, { params = {}, query = {}, body }: Parameters<Call>[1] & object = {}) => {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
    const outcome = await dispatch(id, { params: { ...params }, query: text, body });
    if (!outcome.ok) throw outcome.error;
    const { answer } = outcome;
    if ('body' in answer) return answer.body;
    if ('json' in answer) return JSON.parse(answer.json) as OperationOutput<K>;
    throw new OptaError('internal', `${id} answers no value`);
  };
