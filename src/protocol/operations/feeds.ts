import { z } from 'zod';
import { OverviewSchema } from '../feeds/overview.ts';
import { SessionIdSchema } from '../ids.ts';
import { EVENT_STREAM, type Operation, read } from './operation.ts';

/** What dashboards and inspectors watch. Nothing is looked at, and nothing observed, while nobody watches. */
export const FEED_OPERATIONS = {
  overview: {
    ...read,
    summary: 'The daemon at this moment: sessions, queues, presence, jobs, models, figures',
    paths: ['/v3/overview'],
    response: OverviewSchema,
  },
  'overview.stream': {
    ...read,
    summary: 'The same as an event stream: at once, soon after each change, and every two seconds',
    paths: ['/v3/overview/stream'],
    media: EVENT_STREAM,
    response: z.unknown(),
  },
  'inspect.stream': {
    ...read,
    summary: 'What live actors do: first all that live, then each event and state. Of one session, or of all',
    paths: ['/v3/inspect/stream'],
    query: z.object({ sessionId: SessionIdSchema.optional() }),
    media: EVENT_STREAM,
    response: z.unknown(),
    errors: ['session-not-found'],
  },
} as const satisfies Record<string, Operation>;
