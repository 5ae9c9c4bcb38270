import type { Handlers } from './dispatch.ts';
import { apiHandlers } from './handlers/api.ts';
import { backgroundHandlers } from './handlers/background.ts';
import { bridgeHandlers } from './handlers/bridge.ts';
import { daemonHandlers } from './handlers/daemon.ts';
import type { HandlerDeps } from './handlers/deps.ts';
import { legacyHandlers } from './handlers/legacy.ts';
import { lmxHandlers } from './handlers/lmx.ts';
import { namedHandlers } from './handlers/named.ts';
import { sessionHandlers } from './handlers/sessions.ts';
import { turnHandlers } from './handlers/turns.ts';
import { feedHandlers } from './web/feed-handlers.ts';
import { webHandlers } from './web/handlers.ts';

export {
  type HandlerDeps,
  type HealthFacts,
  type InferenceHost,
  NO_OPERATIONS,
  type OperationHost,
} from './handlers/deps.ts';

/** The handlers of all operations; one that is missing does not compile. */
export const handlers = (deps: HandlerDeps): Handlers => ({
  ...daemonHandlers(deps),
  ...sessionHandlers(deps),
  ...turnHandlers(deps),
  ...backgroundHandlers(deps),
  ...lmxHandlers(deps),
  ...namedHandlers(deps),
  ...bridgeHandlers(deps),
  ...legacyHandlers(deps),
  ...apiHandlers(),
  ...webHandlers(deps.web),
  ...feedHandlers(deps),
});
