import { z } from 'zod';
import { OptaError } from '../protocol/errors.ts';
import { SessionIdSchema } from '../protocol/ids.ts';
import { define, type Operations } from './operation.ts';
import { exportRecord, findSessions, listItem, sessionIdOf } from './session-records.ts';
import { parseSince } from './since.ts';

const LIST_MAX = 1_000;

/** As the flags of `opta sessions`; numbers may come as the text of a form. */
const filters = z.object({
  limit: z.coerce.number().int().min(1).max(LIST_MAX).optional(),
  model: z.string().optional(),
  tag: z.string().optional(),
  since: z.string().optional(),
  deleted: z.boolean().optional(),
});

const filterOf = ({ since, ...filter }: z.output<typeof filters>) => {
  const sinceMs = since === undefined ? undefined : parseSince(since);
  if (sinceMs === null)
    throw new OptaError('invalid-request', `Invalid since "${since}": an ISO time, or e.g. 7d, 2w, 1m`);
  const given = Object.entries({ ...filter, sinceMs }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
};

const one = z.object({ id: SessionIdSchema });

/** `sessions.*`. */
export const SESSION_OPERATIONS: Operations = {
  'sessions.list': define({
    title: 'List sessions',
    description: 'Sessions, the one that changed last first.',
    safety: 'read',
    input: filters,
    run: async ({ call }, input) => (await findSessions(call, filterOf(input))).map(listItem),
  }),
  'sessions.search': define({
    title: 'Search sessions',
    description: 'Sessions that have all these words in their title, first prompt, model, folder or id.',
    safety: 'read',
    input: filters.extend({ query: z.string().min(1) }),
    run: async ({ call }, { query, ...input }) =>
      (await findSessions(call, { ...filterOf(input), q: query })).map(listItem),
  }),
  'sessions.export': define({
    title: 'Export a session',
    description: 'The whole session with its messages.',
    safety: 'read',
    input: one,
    run: async ({ call }, { id }) =>
      exportRecord(await call('sessions.get', { params: { id: await sessionIdOf(call, id) } })),
  }),
  'sessions.delete': define({
    title: 'Delete a session',
    description: 'Cancels what runs and puts the session away; it can be restored for 30 days.',
    safety: 'write',
    input: one,
    run: async ({ call }, { id }) => {
      const { sessionId } = await call('sessions.delete', { params: { id: await sessionIdOf(call, id) } });
      return { id: sessionId };
    },
  }),
};
