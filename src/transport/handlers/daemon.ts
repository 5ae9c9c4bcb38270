import type { RuntimeHealth } from '../../actors/runtime.ts';
import { CONTRACT } from '../../protocol/envelope.ts';
import { type ErrorCode, OptaError } from '../../protocol/errors.ts';
import type { DAEMON_OPERATIONS } from '../../protocol/operations/daemon.ts';
import type { HandlersOf } from '../dispatch.ts';
import { type HandlerDeps, named, within } from './deps.ts';

/** What `/v3/health` and its stream say. */
export const healthBody = (deps: HandlerDeps) => {
  const { runtime, version, transport } = deps;
  const health = runtime.health();
  return {
    status: health.state === 'ready' ? 'ok' : health.state,
    version,
    daemonId: runtime.daemonId,
    contract: CONTRACT,
    runtime: runtimeFacts(deps, health),
    state: health.state,
    quarantined: health.quarantined,
    transport,
    engine: deps.facts().engine,
    storage: health.storage,
  };
};

const runtimeFacts = (deps: HandlerDeps, health: RuntimeHealth) => ({
  sessionCount: health.sessionCount,
  activeTurnCount: health.activeTurnCount,
  queuedTurnCount: health.queuedTurnCount,
  subscriberCount: health.subscriberCount,
  ingressSeq: health.ingressSeq,
  toolWorkers: deps.facts().toolWorkers,
  latency: deps.latency.facts(),
});

export const daemonHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof DAEMON_OPERATIONS> => {
  const { runtime } = deps;
  return {
    health: () => ({ body: { status: 'ok', version: deps.version, daemon: true } }),
    readyz: () => ({ body: { ready: true, state: readyState(runtime.health()) } }),
    'v3.health': () => ({ body: healthBody(deps) }),
    'v3.metrics': () => ({
      body: {
        daemonId: runtime.daemonId,
        runtime: runtimeFacts(deps, runtime.health()),
        ts: new Date(deps.now()).toISOString(),
        limits: [...runtime.metrics(), ...deps.gauges()],
      },
    }),
    inspect: async () => ({ body: await within(deps, (done) => runtime.inspect(null, done)) }),
    'sessions.inspect': async ({ params }) => ({
      body: await named(
        'Session not found',
        within(deps, (done) => runtime.inspect(params.id, done)),
      ),
    }),
    'sessions.why': async ({ params }) => ({
      body: await named(
        'Session not found',
        within(deps, (done) => runtime.why(params.id, done)),
      ),
    }),
  };
};

const NOT_READY: { [state in RuntimeHealth['state']]: ErrorCode } = {
  starting: 'daemon-unreachable',
  ready: 'internal',
  'read-only': 'storage-read-only',
  draining: 'shutting-down',
  stopped: 'shutting-down',
};

const readyState = ({ state }: RuntimeHealth): 'ready' => {
  if (state === 'ready') return state;
  throw new OptaError(NOT_READY[state], `Not ready: ${state}`, { ready: false, state });
};
