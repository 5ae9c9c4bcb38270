import { z } from 'zod';
import { none, type Operation } from './operation.ts';

const write = {
  method: 'POST',
  params: none,
  query: none,
  errors: ['read-only-token', 'invalid-json', 'unsupported-media-type'],
  safety: 'write',
} as const;
const revoked = z.object({ revoked: z.number().int() });

/**
 * How a page gets a right of its own: a ticket, once, from whoever has the token; for the ticket a key, which counts as the token
 * does until it is given back, revoked or too old (docs/decisions/0010).
 */
export const WEB_OPERATIONS = {
  'web.ticket': {
    ...write,
    summary: 'A one-time ticket for a page, and the address that carries it',
    paths: ['/v3/web/tickets'],
    body: z.object({}),
    nullIsEmpty: true,
    status: 201,
    response: z.object({
      ticket: z.string(),
      expiresAt: z.string(),
      /** The ticket is in the fragment, which no browser sends. */
      url: z.string(),
      /** Whether the daemon has the page: false where it was not built. */
      page: z.boolean(),
    }),
  },
  'web.key': {
    ...write,
    summary: 'A key for a ticket; the ticket is the right to it',
    paths: ['/v3/web/keys'],
    open: true,
    body: z.object({ ticket: z.string().min(1).max(256) }),
    status: 201,
    response: z.object({
      /** Used like a token. Keep it for the tab: `sessionStorage`, never `localStorage`, a URL or a log. */
      key: z.string(),
      /** It ends then at the latest, and before that when it was not used for `idleMs`. */
      expiresAt: z.string(),
      idleMs: z.number().int(),
      daemonId: z.string(),
    }),
    errors: ['ticket-refused', 'invalid-json', 'unsupported-media-type', 'storage'],
  },
  'web.signOut': {
    ...write,
    method: 'DELETE',
    summary: 'Give back the key that this call is made with',
    paths: ['/v3/web/keys/current'],
    body: null,
    status: 200,
    response: revoked,
    errors: ['read-only-token', 'not-found', 'storage'],
  },
  'web.revoke': {
    ...write,
    method: 'DELETE',
    summary: 'Revoke all keys and tickets',
    paths: ['/v3/web/keys'],
    body: null,
    status: 200,
    response: revoked,
    errors: ['read-only-token', 'storage'],
  },
} as const satisfies Record<string, Operation>;
