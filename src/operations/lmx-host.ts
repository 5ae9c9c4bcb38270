import { hostPolicyOf, requireRemoteAdmin } from '../config/host-policy.ts';
import { resolveConfig } from '../config/load.ts';
import { isErrorCode, OptaError, QuotedError } from '../protocol/errors.ts';
import type { LmxOperationId } from '../protocol/operations/lmx.ts';
import type { CallFields, OperationOutput } from '../protocol/operations.ts';
import type { OperationWorld } from './operation.ts';

/**
 * One call of the inference host through the daemon. Its failures come in our own codes, wherever this runs: inside the daemon, or
 * beside it, where the host's words stand in place of ours and `cause` beside them.
 */
export const askHost = async <K extends LmxOperationId>(
  { call }: Pick<OperationWorld, 'call'>,
  id: K,
  fields?: CallFields,
): Promise<OperationOutput<K>> => {
  try {
    return await call(id, fields);
  } catch (cause) {
    throw cause instanceof OptaError ? inOurCodes(cause, id) : cause;
  }
};

/** What every administration answers: a host that does not know them has none, or none for us, whatever it calls itself. */
const WHOLE: ReadonlySet<LmxOperationId> = new Set(['lmx.status', 'lmx.models', 'lmx.available']);

const inOurCodes = (error: OptaError, id: LmxOperationId): OptaError => {
  const { cause, ...facts } = error.facts;
  const code = error instanceof QuotedError || !isErrorCode(String(cause)) ? error.code : (cause as OptaError['code']);
  if (code === 'lmx-no-admin') return new OptaError(code, error.message, facts);
  // To whoever administers it, a host that does not answer is as good as none.
  if (code === 'lmx-timeout') return new OptaError('lmx-connection-refused', error.message, { ...facts, cause: code });
  // What the host does not know is not found, and scripts have a code for that.
  const isUnknown = facts.serverStatus === 404 || code === 'no-model-loaded';
  if (facts.serverStatus === 404 && WHOLE.has(id)) return new OptaError('lmx-no-admin', error.message, facts);
  return new OptaError(isUnknown ? 'not-found' : code, error.message, facts);
};

/** Failures after which the same may be known without the administration. */
const CLOSED: ReadonlySet<string> = new Set(['lmx-no-admin', 'lmx-unauthorized']);

export const isClosed = (cause: unknown): cause is OptaError => cause instanceof OptaError && CLOSED.has(cause.code);

/** `undefined` where the administration is not there, or not for us. */
export const ifAdmin = async <T>(answer: Promise<T>): Promise<T | undefined> => {
  try {
    return await answer;
  } catch (cause) {
    if (isClosed(cause)) return undefined;
    throw cause;
  }
};

/** `undefined` where the host has no such part either: what is wanted of it is not needed. */
export const ifKnown = async <T>(answer: Promise<T>): Promise<T | undefined> => {
  try {
    return await ifAdmin(answer);
  } catch (cause) {
    if (cause instanceof OptaError && cause.code === 'not-found') return undefined;
    throw cause;
  }
};

/** Where the daemon looks for inference. Throws `lmx-connection-refused` when it answers by itself. */
export interface HostPlace {
  host: string;
  port: number;
  /** What it was found to be when a turn last asked. */
  identity: string;
  away: { since: string; reason: string } | null;
}

export const hostPlace = async ({ call }: Pick<OperationWorld, 'call'>): Promise<HostPlace> => {
  const { engine } = await call('v3.health');
  const { host, port, identity, away } = (engine ?? {}) as Partial<HostPlace>;
  if (host === undefined || port === undefined)
    throw new OptaError(
      'lmx-connection-refused',
      'No inference host: this daemon answers with its demo engine. With one: opta daemon restart --engine lmx',
    );
  return { host, port, identity: identity ?? 'unasked', away: away ?? null };
};

export const configOf = ({ paths, env }: Pick<OperationWorld, 'paths' | 'env'>) =>
  resolveConfig({ env, file: paths.configFile });

/** [HP1] Asked before anything else is: whether a name is known is then of no interest. Throws `host-policy`. */
export const requireChange = (world: OperationWorld, what: string): void =>
  requireRemoteAdmin(hostPolicyOf(configOf(world).config, world.env), what);
