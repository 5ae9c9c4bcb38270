import { z } from 'zod';
import { SessionIdSchema } from '../protocol/ids.ts';
import { define, type Operations } from './operation.ts';

/** `sessions.*`. */
export const SESSION_OPERATIONS: Operations = {
  'sessions.delete': define({
    title: 'Delete a session',
    description: 'Cancels what runs and puts the session away; it can be restored for 30 days.',
    safety: 'write',
    input: z.object({ id: SessionIdSchema }),
    run: async ({ call }, { id }) => {
      const { sessionId } = await call('sessions.delete', { params: { id } });
      return { id: sessionId };
    },
  }),
};
