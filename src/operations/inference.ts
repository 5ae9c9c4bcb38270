import { hostPolicyOf } from '../config/host-policy.ts';
import { OptaError } from '../protocol/errors.ts';
import type { OperationOutput } from '../protocol/operations.ts';
import { askHost, configOf, hostPlace, ifKnown, isClosed } from './lmx-host.ts';
import { liveness, modelsOnDisk, servedEmbedder } from './models-read.ts';
import type { OperationWorld } from './operation.ts';

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host.replace(/^\[|\]$/g, ''));

/** Where inference is asked for, in the words of `opta status`. */
export const endpointOf = (world: OperationWorld, host: string) => {
  const { config } = configOf(world);
  return {
    requestedHost: config.connection.host,
    activeHost: host,
    // One host is configured, and no other ever takes its place.
    fallbackUsed: false,
    downloadTargetHost: host,
    executionContext: isLoopback(host) ? ('local' as const) : ('remote' as const),
    currentDevice: hostPolicyOf(config, world.env).host,
  };
};

interface AdminStatus {
  status: OperationOutput<'lmx.status'> | null;
  adminAccess: { ok: boolean; error?: string };
}

const adminStatus = async (world: OperationWorld): Promise<AdminStatus> => {
  try {
    return { status: await askHost(world, 'lmx.status'), adminAccess: { ok: true } };
  } catch (cause) {
    if (!isClosed(cause)) throw cause;
    return { status: null, adminAccess: { ok: false, error: cause.message } };
  }
};

/** The state of the inference host. Rejects when it is away; what an administrator alone may see is null for others. */
export const inferenceStatus = async (world: OperationWorld) => {
  const { host } = await hostPlace(world);
  const health = await liveness(world);
  const { status, adminAccess } = await adminStatus(world);
  const ask = <T>(answer: () => Promise<T>): Promise<T | undefined> =>
    adminAccess.ok ? ifKnown(answer()) : Promise.resolve(undefined);
  const onDisk = await ask(() => modelsOnDisk(world));
  return {
    health,
    status,
    endpoint: endpointOf(world, host),
    adminAccess,
    deviceIdentity: (await ask(() => askHost(world, 'lmx.device'))) ?? null,
    ...(onDisk === undefined ? {} : { availableModelsCount: onDisk.length }),
    memoryDetails: (await ask(() => askHost(world, 'lmx.memory'))) ?? null,
  };
};

/** Whether the inference server runs. That it does not is an answer, not a failure. */
export const serveStatus = async (world: OperationWorld) => {
  const { host, port } = await hostPlace(world);
  try {
    const health = await liveness(world);
    const { status, adminAccess } = await adminStatus(world);
    if (status !== null) return { running: true as const, adminAuthorized: true as const, health, status };
    return { running: true as const, adminAuthorized: false as const, host, port, error: adminAccess.error ?? '' };
  } catch (cause) {
    if (!(cause instanceof OptaError)) throw cause;
    return { running: false as const, host, port, reason: cause.message };
  }
};

/** The server's own answer. */
export const embed = async (world: OperationWorld, input: string | string[], model?: string) => {
  const chosen = model || configOf(world).config.model.embeddingModel || (await servedEmbedder(world));
  if (!chosen)
    throw new OptaError(
      'no-model-loaded',
      'No model for vectors is configured or loaded; name one: opta embed -m <model> …',
    );
  return askHost(world, 'lmx.embeddings', { body: { input, model: chosen } });
};

export interface RerankInput {
  query: string;
  documents: string[];
  model?: string | undefined;
  topK?: number | undefined;
}

/** The server's own answer. An LMX ranks with the one model that it has for it, whatever the name; others want theirs. */
export const rerank = (world: OperationWorld, { query, documents, model, topK }: RerankInput) => {
  const chosen = model || configOf(world).config.model.rerankerModel || 'auto';
  const body = { query, documents, model: chosen, ...(topK === undefined ? {} : { topN: topK }) };
  return askHost(world, 'lmx.rerank', { body });
};
