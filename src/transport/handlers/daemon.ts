import type { RuntimeHealth } from '../../actors/runtime.ts';
import { type ErrorCode, OptaError } from '../../protocol/errors.ts';
import type { DAEMON_OPERATIONS } from '../../protocol/operations/daemon.ts';
import { operation } from '../../protocol/operations.ts';
import type { HandlersOf } from '../dispatch.ts';
import { type HandlerDeps, named, within } from './deps.ts';
import { healthBody, healthStream, runtimeFacts, uptimeSeconds } from './health.ts';
import { levels, prometheusPage } from './metrics.ts';

export const daemonHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof DAEMON_OPERATIONS> => {
  const { runtime } = deps;
  return {
    health: () => ({
      body: {
        status: 'ok',
        version: deps.version,
        daemon: true,
        model: deps.model?.() ?? '',
        uptime: uptimeSeconds(),
      },
    }),
    readyz: () => ({ body: { ready: true, state: readyState(runtime.health()) } }),
    'v3.health': () => ({ body: healthBody(deps) }),
    'health.stream': healthStream(deps),
    'v3.metrics': () => ({
      body: {
        daemonId: runtime.daemonId,
        runtime: runtimeFacts(deps, runtime.health()),
        ts: new Date(deps.now()).toISOString(),
        ...levels(deps),
      },
    }),
    'metrics.prometheus': () => ({ text: prometheusPage(deps), type: operation('metrics.prometheus').media as string }),
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
