import type { FEED_OPERATIONS } from '../../protocol/operations/feeds.ts';
import type { HandlersOf } from '../dispatch.ts';
import type { HandlerDeps } from '../handlers/deps.ts';
import { inspectStream } from './inspect-stream.ts';
import { OverviewFeed } from './overview.ts';

export const feedHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof FEED_OPERATIONS> => {
  const feed = new OverviewFeed(deps);
  return {
    overview: async () => ({ body: await feed.once() }),
    'overview.stream': () => feed.stream(),
    'inspect.stream': ({ query }) => inspectStream(deps, query.sessionId ?? null),
  };
};
