import { OptaError } from '../protocol/errors.ts';
import type { TransportAdapter } from './port.ts';
import { uwsAdapter } from './uws/adapter.ts';
import { NOT_INSTALLED } from './uws/load-uws.ts';
import { wsAdapter } from './ws/adapter.ts';

/** The environment's word for it: `uws` or `ws`. */
export const TRANSPORT_ENV = 'OPTA_TRANSPORT';

/**
 * The adapter that carries the planes: the one that `wanted` names (`auto` and nothing name none), else uWebSockets.js where it loads, else `ws`. Its `why` says how
 * it came to that. Throws `invalid-request` for any other word, and when uWebSockets.js is wanted and does not load: who asks for
 * it by name is not to get something else in silence. Nothing is bound, so it also serves to tell what would run.
 */
export const chooseTransport = (
  wanted: string | undefined = process.env[TRANSPORT_ENV],
  load: () => ReturnType<typeof uwsAdapter> = uwsAdapter,
): TransportAdapter => {
  if (wanted === 'ws') return wsAdapter(`${TRANSPORT_ENV}=ws`);
  const named = wanted !== undefined && wanted !== '' && wanted !== 'auto';
  if (named && wanted !== 'uws') {
    throw new OptaError('invalid-request', `${TRANSPORT_ENV} is uws or ws, not ${JSON.stringify(wanted)}`);
  }
  const loaded = load();
  if (!('reasons' in loaded)) return loaded;
  // Of two names for one package it is enough to say what is wrong with the one that is there.
  const telling = loaded.reasons.filter((reason) => !reason.endsWith(NOT_INSTALLED));
  const reasons = (telling.length > 0 ? telling : loaded.reasons).join('; ');
  if (wanted !== 'uws') return wsAdapter(reasons);
  throw new OptaError('invalid-request', `${TRANSPORT_ENV}=uws, but uWebSockets.js does not load here: ${reasons}`);
};
