import { LIMITS } from '../../actors/limits.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { WEB_OPERATIONS } from '../../protocol/operations/web.ts';
import type { HandlersOf } from '../dispatch.ts';
import type { WebKeys } from './access-keys.ts';

export interface WebHandlerDeps {
  keys: WebKeys;
  /** Where a page finds this daemon. */
  address(): string;
  built: boolean;
  daemonId: string;
}

const iso = (ms: number): string => new Date(ms).toISOString();

export const webHandlers = ({
  keys,
  address,
  built,
  daemonId,
}: WebHandlerDeps): HandlersOf<keyof typeof WEB_OPERATIONS> => ({
  'web.ticket': (_input, caller) => {
    // Else a key that was lost would live as long as its finder likes.
    if (caller.webKey?.() != null) {
      throw new OptaError('ticket-refused', 'A key gives no ticket: only the token does. Type: opta web');
    }
    const { ticket, expiresAt } = keys.ticket();
    return { body: { ticket, expiresAt: iso(expiresAt), url: `${address()}/#ticket=${ticket}`, page: built } };
  },
  'web.key': ({ body }) => {
    const { key, expiresAt } = keys.redeem(body.ticket);
    return { body: { key, expiresAt: iso(expiresAt), idleMs: LIMITS.webKeyIdleMs, daemonId } };
  },
  'web.signOut': (_input, caller) => {
    const hash = caller.webKey?.() ?? null;
    if (hash === null) throw new OptaError('not-found', 'This call was not made with a key of a page');
    return { body: { revoked: keys.signOut(hash) ? 1 : 0 } };
  },
  'web.revoke': () => ({ body: { revoked: keys.revokeAll() } }),
});
