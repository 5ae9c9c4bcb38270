import { OptaError } from '../../protocol/errors.ts';
import type { BRIDGE_OPERATIONS, Bridge } from '../../protocol/operations/bridge.ts';
import type { HandlersOf } from '../dispatch.ts';
import type { HandlerDeps } from './deps.ts';
import { runtimeFacts } from './health.ts';
import { runNamed, unknownOperation } from './named.ts';

/** The routes of a remote bridge, for clients that ask for them: honest about there being none. */
export const bridgeHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof BRIDGE_OPERATIONS> => {
  const { runtime } = deps;
  const now = (): string => new Date(deps.now()).toISOString();
  let bridge: Bridge = {
    status: 'offline',
    deviceId: null,
    sessionId: null,
    bridgeTokenPresent: false,
    connectedAt: null,
    updatedAt: now(),
    lastError: null,
    activationState: 'runtime_ready',
  };
  return {
    'bridge.status': () => ({ body: { daemonId: runtime.daemonId, bridge } }),
    'bridge.connect': () => {
      const message = 'Not part of this build: no machine elsewhere can be connected. Nothing was sent anywhere';
      throw new OptaError('not-in-this-build', message, { bridge });
    },
    'bridge.disconnect': ({ body: { reason } }) => {
      bridge = { ...bridge, updatedAt: now(), lastError: reason ?? null };
      return { body: { ok: true, bridge } };
    },
    'device.bootstrap': () => {
      const { connection } = deps.facts();
      return {
        body: {
          daemonId: runtime.daemonId,
          version: deps.version,
          ts: now(),
          bridge,
          connection: { host: connection?.host ?? null, fallbackHosts: [], port: connection?.port ?? null },
          account: null,
          runtime: runtimeFacts(deps, runtime.health()),
        },
      };
    },
    'device.execute': async ({ body: { operationId, bridgeMetadata, ...asked } }, caller) => {
      const { commandId = null, actor = null, issuedAt = null } = bridgeMetadata ?? {};
      const more = { bridge, metadata: { commandId, actor, issuedAt } };
      const answer = await runNamed(deps, operationId, asked, caller);
      if (answer === null) {
        const unknown = unknownOperation(deps, operationId, 'Invalid request body', 'operationId');
        throw new OptaError(unknown.code, unknown.message, { ...unknown.facts, ...more });
      }
      return { ...answer, body: { ...answer.body, ...more } };
    },
  };
};
