import { OptaError } from '../protocol/errors.ts';
import {
  authority,
  type DaemonAddress,
  type Exchange,
  type HttpAnswer,
  type OpenSocket,
  type Platform,
} from './platform.ts';

/** What a page has and other places may lack. */
const scope = globalThis as unknown as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> & {
  document?: EventTarget & { visibilityState: string };
};

/** A browser, or whatever else has `fetch` and `WebSocket`. */
export const webPlatform = (): Platform => ({
  exchange: webExchange,
  openSocket: openWebSocket,
  onWake: (wake) => {
    const { document } = scope;
    const shown = (): void => {
      if (document?.visibilityState === 'visible') wake();
    };
    // `offline` is asked too: loopback goes on without a network, and only an answer can tell.
    const names = ['online', 'offline', 'pageshow', 'focus'];
    for (const name of names) scope.addEventListener?.(name, wake);
    document?.addEventListener('visibilitychange', shown);
    return () => {
      for (const name of names) scope.removeEventListener?.(name, wake);
      document?.removeEventListener('visibilitychange', shown);
    };
  },
  close: () => undefined,
});

const webExchange: Exchange = async (address, { method, path, body, signal }) => {
  const headers: { [name: string]: string } = { authorization: `Bearer ${address.token}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const how = { method, headers, signal, cache: 'no-store', credentials: 'omit', redirect: 'error' } as const;
  try {
    // Called as a function of the page: kept in a field and called as a method, browsers refuse it.
    const res = await fetch(`${address.protocol ?? 'http'}://${authority(address)}${path}`, {
      ...how,
      ...(body === undefined ? {} : { body }),
    });
    return { status: res.status, header: (name) => res.headers.get(name), body: textOf(res) };
  } catch (cause) {
    throw unreachable(address, cause);
  }
};

async function* textOf(res: Response): HttpAnswer['body'] {
  const reader = res.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  let whole = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield decoder.decode(value, { stream: true });
    }
    whole = true;
    yield decoder.decode();
  } catch (cause) {
    throw new OptaError('daemon-unreachable', `The connection broke in the middle of an answer: ${String(cause)}`);
  } finally {
    // Whoever stops reading early lets go of the connection too; one that broke has nothing left to let go of.
    if (!whole) reader.cancel().catch(() => undefined);
  }
}

const base64url = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

const unreachable = (address: DaemonAddress, cause: unknown): OptaError =>
  new OptaError('daemon-unreachable', `The daemon at ${authority(address)} does not answer: ${String(cause)}`);

/**
 * A browser cannot set a header on a WebSocket, and a URL ends up in logs and histories ([WB4]): so the token is offered beside the
 * subprotocol, and the daemon answers with that alone.
 */
export const openWebSocket: OpenSocket = (address, path, on) => {
  const scheme = address.protocol === 'https' ? 'wss' : 'ws';
  const offer = ['opta.v3', `opta.token.${base64url(address.token)}`];
  const socket = new WebSocket(`${scheme}://${authority(address)}${path}`, offer);
  socket.onopen = () => on.opened();
  socket.onmessage = ({ data }) => on.received(String(data));
  socket.onerror = () => on.failed(`the socket to ${authority(address)} failed`);
  socket.onclose = ({ code, reason }) => on.closed(code, reason);
  return {
    raw: socket,
    send: (text) => socket.send(text),
    close: () => socket.close(1000),
    abort: () => socket.close(),
  };
};
