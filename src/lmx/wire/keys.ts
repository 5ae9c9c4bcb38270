import { bearerToken, tokenCheck } from '../../transport/auth.ts';
import type { RequestHead } from '../../transport/port.ts';

export interface KeyConfig {
  /** Without it `/v1` is open to whoever reaches the address. */
  apiKey?: string;
  /** Without it `/admin` is as open as `/v1`. */
  adminKey?: string;
}

export type KeyRight = 'none' | 'inference' | 'admin';

/** The subprotocol by which a browser says that its first frame brings the key. */
export const AUTH_PROTOCOL = 'opta-lmx.auth';
const KEY_PROTOCOL = 'opta-lmx.key.';

/** [LG7] Who may do what. The admin key opens everything; keys are compared in constant time and never in a URL. */
export class LmxKeys {
  readonly #isApi: ((key: string | null) => boolean) | null;
  readonly #isAdmin: ((key: string | null) => boolean) | null;

  constructor({ apiKey, adminKey }: KeyConfig) {
    this.#isApi = apiKey === undefined ? null : tokenCheck(apiKey);
    this.#isAdmin = adminKey === undefined ? null : tokenCheck(adminKey);
  }

  get required(): { inference: boolean; admin: boolean } {
    return { inference: this.#isApi !== null, admin: this.#isAdmin !== null };
  }

  rightOf(keys: readonly string[]): KeyRight {
    // Every comparison is made, whatever the others say.
    const admin = keys.map((key) => this.#isAdmin?.(key) ?? false).includes(true);
    const api = keys.map((key) => this.#isApi?.(key) ?? false).includes(true);
    if (admin) return 'admin';
    const open = this.#isApi === null;
    // A server without an admin key has no secrets from whoever may use it.
    if (api || open) return this.#isAdmin === null ? 'admin' : 'inference';
    return 'none';
  }

  of(head: RequestHead): KeyRight {
    return this.rightOf(keysIn(head));
  }

  /** Only a key that was given makes it so: on an open server nobody jumps a queue. */
  isAdminKey(head: RequestHead): boolean {
    return keysIn(head).some((key) => this.#isAdmin?.(key) ?? false);
  }
}

const keysIn = (head: RequestHead): string[] =>
  [bearerToken(head), head.headers.get('x-api-key'), head.headers.get('x-admin-key'), protocolKey(head)].filter(
    (key): key is string => typeof key === 'string' && key !== '',
  );

const offered = (head: RequestHead): string[] =>
  (head.headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());

export const offersAuth = (head: RequestHead): boolean => offered(head).includes(AUTH_PROTOCOL);

/** `opta-lmx.key.` and the key's base64url, beside the subprotocol that is answered. */
const protocolKey = (head: RequestHead): string | null => {
  const [name, ...more] = offered(head).filter((p) => p.startsWith(KEY_PROTOCOL));
  const text = name?.slice(KEY_PROTOCOL.length) ?? '';
  return more.length > 0 || !/^[\w-]{1,1024}$/.test(text) ? null : Buffer.from(text, 'base64url').toString('utf8');
};
