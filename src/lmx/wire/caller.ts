import type { RequestHead } from '../../transport/port.ts';
import { LmxError } from '../errors.ts';
import type { Caller } from '../gateway.ts';
import { LMX_LIMITS } from '../limits.ts';

/** [LG12] A name for the figures: printable, bounded, never empty. */
export const clientName = (name: string | null | undefined): string => {
  const clean = (name ?? '').replace(/[^\w.:@/-]/g, '_').slice(0, LMX_LIMITS.clientNameCharsMax);
  return clean === '' ? 'anonymous' : clean;
};

/**
 * Who asks, by the headers of old. High priority is for whoever holds the admin key; from others it is a wish that is not granted, as
 * it always was for words that nobody knew. Throws `invalid_header` for a lane that is none.
 */
export const callerOf = (head: RequestHead, isAdmin: boolean, user?: string | null): Caller => {
  const lane = head.headers.get('x-serving-lane')?.toLowerCase();
  if (lane !== undefined && lane !== 'interactive' && lane !== 'throughput')
    throw new LmxError('invalid_header', 'X-Serving-Lane is interactive or throughput.', { param: 'x-serving-lane' });
  const high = lane === undefined ? head.headers.get('x-priority')?.toLowerCase() === 'high' : lane === 'interactive';
  const name = head.headers.get('x-client-id') ?? head.headers.get('x-openclaw-agent-id') ?? user;
  return { client: clientName(name), priority: high && isAdmin ? 'high' : 'normal' };
};
