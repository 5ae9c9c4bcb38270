import type { DaemonHttp } from '../client/http.ts';
import type { Call, OperationOutput } from '../protocol/operations.ts';

/** The operations of the daemon over the wire, for the functions that the CLI shares with it. */
export const callOf = (http: DaemonHttp): Call => {
  const call = (id: string, fields: object = {}): Promise<unknown> => http.call(id as 'health', fields);
  return call as <K extends Parameters<Call>[0]>(id: K) => Promise<OperationOutput<K>>;
};
