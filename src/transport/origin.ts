import { OptaError } from '../protocol/errors.ts';
import type { RequestHead } from './port.ts';

/**
 * [AC1] Who may speak to a loopback daemon from a browser. `Host` keeps out a stranger's page whose name was rebound to
 * 127.0.0.1; `Origin` keeps out every other page. Programs send no `Origin` and need none.
 */
export interface Access {
  /** Throws `forbidden-host` or `forbidden-origin`. A preflight is answered whatever its origin, without CORS headers. */
  check(head: RequestHead): void;
  /** CORS headers for an allowed origin; for any other, only `Vary`. */
  cors(head: RequestHead): [string, string][];
  /** What a preflight adds to them. */
  preflight(head: RequestHead): [string, string][];
}

export interface AccessConfig {
  /** Names and literals, besides loopback's, under which the daemon is reached. */
  hosts: readonly string[];
  /** Origins besides loopback's and Tauri's, exactly as a browser sends them. */
  origins: readonly string[];
  port(): number;
}

const LOOPBACK_ORIGIN = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;
const TAURI_ORIGINS = ['tauri://localhost', 'http://tauri.localhost'];

const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]\s/@?#,]+)(?::(\d{1,5}))?$/;
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

const METHODS = 'GET,POST,PUT,PATCH,DELETE,OPTIONS';
const HEADERS = 'Authorization, Content-Type, If-None-Match, Idempotency-Key, Last-Event-ID';
const EXPOSED = 'ETag, Retry-After, Idempotent-Replayed';

export const isLoopbackHost = (name: string): boolean => LOOPBACK_HOST.test(name) || name === '::1';

/** `[::1]:9999` → name and port; the port of a bare name is 80. Null when it is not a host at all. */
export const splitHost = (host: string): { name: string; port: number } | null => {
  const match = HOST.exec(host.toLowerCase());
  return match ? { name: match[1] as string, port: match[2] === undefined ? 80 : Number(match[2]) } : null;
};

export const access = (config: AccessConfig): Access => {
  const hosts = new Set(
    config.hosts.map((h) => h.toLowerCase()).map((h) => (h.includes(':') && !h.startsWith('[') ? `[${h}]` : h)),
  );
  const origins = new Set([...TAURI_ORIGINS, ...config.origins.map((o) => o.toLowerCase())]);

  const hostAllowed = (header: string | undefined): boolean => {
    const host = splitHost(header ?? '');
    return host !== null && host.port === config.port() && (isLoopbackHost(host.name) || hosts.has(host.name));
  };
  const allowedOrigin = (head: RequestHead): string | null => {
    const origin = head.headers.get('origin');
    if (origin === undefined) return null;
    return LOOPBACK_ORIGIN.test(origin) || origins.has(origin.toLowerCase()) ? origin : null;
  };

  const cors = (head: RequestHead): [string, string][] => {
    const origin = allowedOrigin(head);
    if (origin === null) return [['vary', 'Origin']];
    return [
      ['vary', 'Origin'],
      ['access-control-allow-origin', origin],
      ['access-control-expose-headers', EXPOSED],
    ];
  };

  return {
    check: (head) => {
      if (!hostAllowed(head.headers.get('host'))) {
        throw new OptaError('forbidden-host', 'Forbidden: the Host header does not name this daemon');
      }
      if (head.method !== 'OPTIONS' && head.headers.has('origin') && allowedOrigin(head) === null) {
        throw new OptaError('forbidden-origin', 'Forbidden: this origin may not use the daemon');
      }
    },
    cors,
    preflight: (head) =>
      allowedOrigin(head) === null
        ? []
        : [
            ['access-control-allow-methods', METHODS],
            ['access-control-allow-headers', HEADERS],
            ['access-control-max-age', '600'],
          ],
  };
};
