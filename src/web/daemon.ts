import { createStore } from '@xstate/store';
import { connect, type OptaClient } from '../client/browser.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { originOf } from './find-daemon.ts';

/** A daemon, and what lets this tab speak to it. */
export interface Way {
  host: string;
  port: number;
  token: string;
}

/** Whether this tab has a daemon to speak to. */
export type Access =
  | { state: 'entering' }
  /** A person has to say which daemon, and to show that they may. `why`: what happened, in a sentence; '' at first. */
  | { state: 'asking'; why: string; host: string; port: number }
  | { state: 'ready'; way: Way };

/** Of the tab alone, and gone with it. What it holds is a web key, which the daemon can take back; never the daemon's own token unless a person typed it. */
const PLACE = 'opta.way';

export const access = createStore({
  context: { state: 'entering' } as Access,
  on: {
    asked: (_, { why, host, port }: { why: string; host: string; port: number }): Access => ({
      state: 'asking',
      why,
      host,
      port,
    }),
    let: (_, { way }: { way: Way }): Access => ({ state: 'ready', way }),
  },
});

/** For every call and socket of the page. Asks for the way anew after each loss, and waits at the connect screen for a person. */
export const client: OptaClient = connect({ address: () => wayIn() });

const wayIn = (): Promise<Way> =>
  new Promise((resolve) => {
    const now = access.getSnapshot().context;
    if (now.state === 'ready') return resolve(now.way);
    const { unsubscribe } = access.subscribe(({ context }) => {
      if (context.state !== 'ready') return;
      unsubscribe();
      resolve(context.way);
    });
  });

/** Once, when the page begins: takes the ticket out of the address before anything else can see it, and trades it for a key. */
export const enter = async (): Promise<void> => {
  const { ticket, rest } = ticketOf(location.hash);
  // The page comes from its daemon, except in development, where it comes from Vite.
  const here = import.meta.env.DEV
    ? { host: '127.0.0.1', port: 9999 }
    : { host: location.hostname, port: Number(location.port || 80) };
  if (ticket !== null) {
    history.replaceState(null, '', `${location.pathname}${rest}`);
    window.dispatchEvent(new HashChangeEvent('hashchange'));
    try {
      return await letIn({ ...here, ticket });
    } catch (cause) {
      return ask(toOptaError(cause).message, here);
    }
  }
  const kept = keptWay();
  if (kept) access.trigger.let({ way: kept });
  else ask('', here);
};

export const hasTicket = (): boolean => ticketOf(location.hash).ticket !== null;

/** `#ticket=…&session=…` → the ticket, and where the page goes on. */
const ticketOf = (hash: string): { ticket: string | null; rest: string } => {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const ticket = fields.get('ticket');
  const session = fields.get('session');
  return { ticket, rest: session ? `#/sessions/${encodeURIComponent(session)}` : '' };
};

const TRADE_DEADLINE_MS = 10_000;

/** With a ticket of `opta web`, a token, or a `word` that may be either. Throws an `OptaError` that a person can act on. */
export const letIn = async (
  by: { host: string; port: number } & ({ ticket: string } | { word: string }),
): Promise<void> => {
  const { host, port } = by;
  const way = { host, port, token: 'ticket' in by ? await keyFor(host, port, by.ticket) : by.word };
  try {
    await tried(way);
  } catch (cause) {
    if ('ticket' in by || toOptaError(cause).code !== 'unauthorized') throw cause;
    way.token = await keyFor(host, port, by.word);
    await tried(way);
  }
  sessionStorage.setItem(PLACE, JSON.stringify(way));
  access.trigger.let({ way });
};

/** Forgets the key, here and at the daemon. */
export const leave = async (): Promise<void> => {
  const now = access.getSnapshot().context;
  if (now.state !== 'ready') return;
  sessionStorage.removeItem(PLACE);
  const { way } = now;
  ask('You have signed out.', way);
  await fetch(`${originOf(way)}/v3/web/keys/current`, asked('DELETE', way.token)).catch(() => undefined);
};

/** The daemon no longer knows this tab: its key is old, was taken back, or is of another daemon. */
export const refused = (): void => {
  const now = access.getSnapshot().context;
  if (now.state !== 'ready') return;
  sessionStorage.removeItem(PLACE);
  ask('The daemon does not know this tab any more. Its key has expired or was taken back.', now.way);
};

/** To the connect screen, with what this tab knows kept until a person has said otherwise. */
export const askAgain = (why: string): void => {
  const now = access.getSnapshot().context;
  if (now.state === 'ready') ask(why, now.way);
};

/** For every call of a page: one that the daemon refuses this tab leads to the connect screen. */
export const watched = async <T>(call: Promise<T>): Promise<T> => {
  try {
    return await call;
  } catch (cause) {
    if (toOptaError(cause).code === 'unauthorized') refused();
    throw cause;
  }
};

/** Whether there is a way that was left without signing out. */
export const canGoBack = (): boolean => keptWay() !== null;

export const goBack = (): void => {
  const kept = keptWay();
  if (kept) access.trigger.let({ way: kept });
};

const ask = (why: string, { host, port }: { host: string; port: number }): void =>
  void access.trigger.asked({ why, host, port });

const asked = (method: string, token?: string, body?: object): RequestInit => ({
  method,
  cache: 'no-store',
  credentials: 'omit',
  redirect: 'error',
  signal: AbortSignal.timeout(TRADE_DEADLINE_MS),
  headers: {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  },
  ...(body === undefined ? {} : { body: JSON.stringify(body) }),
});

const keyFor = async (host: string, port: number, ticket: string): Promise<string> => {
  const answer = await reached(
    fetch(`${originOf({ host, port })}/v3/web/keys`, asked('POST', undefined, { ticket })),
    port,
  );
  if (!answer.ok) {
    throw new OptaError(
      'unauthorized',
      'The daemon does not take it. A ticket works once and for a short time: type `opta web` for a new one.',
    );
  }
  return ((await answer.json()) as { key: string }).key;
};

const tried = async (way: Way): Promise<void> => {
  const answer = await reached(fetch(`${originOf(way)}/v3/health`, asked('GET', way.token)), way.port);
  if (answer.status === 401) throw new OptaError('unauthorized', 'The daemon does not take this token.');
  if (!answer.ok) throw new OptaError('daemon-unreachable', `The daemon answers ${answer.status}.`);
};

const reached = async (answer: Promise<Response>, port: number): Promise<Response> => {
  try {
    return await answer;
  } catch {
    throw new OptaError(
      'daemon-unreachable',
      `No daemon answers on port ${port}. In a terminal, \`opta daemon status\` says where it is.`,
    );
  }
};

const keptWay = (): Way | null => {
  try {
    const way = JSON.parse(sessionStorage.getItem(PLACE) ?? 'null') as Way | null;
    return way && typeof way.token === 'string' && typeof way.port === 'number' ? way : null;
  } catch {
    return null;
  }
};
