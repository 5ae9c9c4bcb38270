import { beforeEach, describe, expect, test, vi } from 'vitest';

type Way = { host: string; port: number; token: string };
type State = { state: string; why?: string; way?: Way };
/** The parts of the page under test. Its types are those of a browser, which these tests do not have: it is named apart. */
interface Daemon {
  access: { getSnapshot(): { context: State } };
  enter(): Promise<void>;
  letIn(by: { host: string; port: number } & ({ ticket: string } | { word: string })): Promise<void>;
  leave(): Promise<void>;
  askAgain(why: string): void;
  canGoBack(): boolean;
  goBack(): void;
  watched<T>(call: Promise<T>): Promise<T>;
}
interface Finder {
  isLoopback(host: string): boolean;
  findDaemons(host: string): Promise<number[]>;
}
interface Router {
  placeOf(hash: string): object;
  hashOf(place: object): string;
}
const load = async <T>(name: string): Promise<T> => (await import(`../../src/web/${name}.ts`)) as T;

interface Asked {
  url: string;
  method: string;
  token: string | null;
  body: string;
  /** What stood in the address bar when it was asked. */
  hash: string;
}

/** A tab without a browser: the little of one that access touches, and a daemon of two routes. */
const tab = async (options: { hash?: string; kept?: object; takes?: string[]; tickets?: string[] } = {}) => {
  const { takes = ['the-token'], tickets = [] } = options;
  const location = { hash: options.hash ?? '', hostname: '127.0.0.1', port: '10007', pathname: '/' };
  const stored = new Map<string, string>();
  if (options.kept) stored.set('opta.way', JSON.stringify(options.kept));
  const asked: Asked[] = [];
  const fetchStub = async (url: string, init: RequestInit): Promise<Response> => {
    const token = new Headers(init.headers).get('authorization')?.replace(/^Bearer /, '') ?? null;
    const body = String(init.body ?? '');
    asked.push({ url, method: init.method ?? 'GET', token, body, hash: location.hash });
    if (url.includes(':1/')) throw new TypeError('refused');
    if (init.method === 'POST') {
      const { ticket } = JSON.parse(body) as { ticket: string };
      return tickets.includes(ticket)
        ? Response.json({ key: `key-of-${ticket}` }, { status: 201 })
        : new Response('', { status: 401 });
    }
    const good = token !== null && (takes.includes(token) || tickets.some((ticket) => token === `key-of-${ticket}`));
    return good ? Response.json({ status: 'ok' }) : new Response('', { status: 401 });
  };
  vi.stubGlobal('location', location);
  vi.stubGlobal('history', {
    replaceState: (_: null, __: string, to: string) => {
      location.hash = to.slice(to.indexOf('#') === -1 ? to.length : to.indexOf('#'));
    },
  });
  vi.stubGlobal('window', { addEventListener: () => undefined, dispatchEvent: () => true });
  vi.stubGlobal('HashChangeEvent', class extends Event {});
  vi.stubGlobal('sessionStorage', {
    getItem: (name: string) => stored.get(name) ?? null,
    setItem: (name: string, value: string) => stored.set(name, value),
    removeItem: (name: string) => stored.delete(name),
  });
  vi.stubGlobal('fetch', fetchStub);
  vi.resetModules();
  const daemon = await load<Daemon>('daemon');
  return { daemon, asked, location, stored, state: () => daemon.access.getSnapshot().context };
};

beforeEach(() => {
  vi.unstubAllGlobals();
  vi.stubEnv('DEV', false);
});

describe('how a tab gets in', () => {
  test('a ticket leaves the address before anything is asked, and becomes a key of this tab', async () => {
    const { daemon, asked, location, stored, state } = await tab({ hash: '#ticket=T1&session=a%2Fb', tickets: ['T1'] });
    await daemon.enter();
    expect(asked.map(({ hash }) => hash)).toEqual(['#/sessions/a%2Fb', '#/sessions/a%2Fb']);
    expect(location.hash).toBe('#/sessions/a%2Fb');
    expect(state()).toEqual({ state: 'ready', way: { host: '127.0.0.1', port: 10_007, token: 'key-of-T1' } });
    expect([...stored.keys()]).toEqual(['opta.way']);
    expect(asked.every(({ url }) => !url.includes('T1'))).toBe(true);
  });

  test('a ticket that was used leads to the connect screen, which says so, and the address has lost it', async () => {
    const { daemon, location, state } = await tab({ hash: '#ticket=old' });
    await daemon.enter();
    expect(location.hash).toBe('');
    expect(state()).toMatchObject({ state: 'asking', why: expect.stringContaining('works once'), port: 10_007 });
  });

  test('a tab that was let in before goes on without asking; what it kept in another shape is nothing', async () => {
    const way = { host: '127.0.0.1', port: 10_003, token: 'k' };
    const kept = await tab({ kept: way });
    await kept.daemon.enter();
    expect(kept.state()).toEqual({ state: 'ready', way });
    expect(kept.asked).toEqual([]);
    const broken = await tab({ kept: { token: 5 } });
    await broken.daemon.enter();
    expect(broken.state()).toMatchObject({ state: 'asking', why: '' });
  });

  test('a word that is typed may be a token or a ticket; a token is not sent as a ticket', async () => {
    const at = { host: '127.0.0.1', port: 9999 };
    const byToken = await tab();
    await byToken.daemon.letIn({ ...at, word: 'the-token' });
    expect(byToken.asked.map(({ method }) => method)).toEqual(['GET']);
    const byTicket = await tab({ tickets: ['T2'] });
    await byTicket.daemon.letIn({ ...at, word: 'T2' });
    expect(byTicket.state()).toMatchObject({ way: { token: 'key-of-T2' } });
  });

  test('a wrong word and a wrong port say what to type, and let nobody in', async () => {
    const { daemon, state, stored } = await tab();
    await expect(daemon.letIn({ host: '127.0.0.1', port: 9999, word: 'no' })).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringContaining('opta web'),
    });
    await expect(daemon.letIn({ host: '127.0.0.1', port: 1, word: 'no' })).rejects.toMatchObject({
      code: 'daemon-unreachable',
      message: expect.stringContaining('opta daemon status'),
    });
    expect(state().state).toBe('entering');
    expect(stored.size).toBe(0);
  });

  test('a tab that is refused forgets its key; one that only goes elsewhere may come back', async () => {
    const { daemon, stored, state } = await tab();
    await daemon.letIn({ host: '127.0.0.1', port: 9999, word: 'the-token' });
    daemon.askAgain('It does not answer.');
    expect(state()).toMatchObject({ state: 'asking', why: 'It does not answer.' });
    expect(daemon.canGoBack()).toBe(true);
    daemon.goBack();
    expect(state().state).toBe('ready');
    const failed = Object.assign(new Error('no'), { code: 'unauthorized' });
    const { OptaError } = await import('../../src/protocol/errors.ts');
    await expect(daemon.watched(Promise.reject(new OptaError('unauthorized', failed.message)))).rejects.toThrow('no');
    expect(state()).toMatchObject({ state: 'asking', why: expect.stringContaining('does not know this tab') });
    expect(stored.size).toBe(0);
    expect(daemon.canGoBack()).toBe(false);
  });

  test('signing out gives the key back with the key itself', async () => {
    const { daemon, asked, state, stored } = await tab({ tickets: ['T3'] });
    await daemon.letIn({ host: '::1', port: 9999, ticket: 'T3' });
    await daemon.leave();
    expect(asked.at(-1)).toMatchObject({
      method: 'DELETE',
      url: 'http://[::1]:9999/v3/web/keys/current',
      token: 'key-of-T3',
    });
    expect(state()).toMatchObject({ state: 'asking' });
    expect(stored.size).toBe(0);
  });
});

describe('where a daemon may be', () => {
  test.each([
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['localhost', true],
    ['::1', true],
    ['[::1]', true],
    ['127.0.0.1.example.org', false],
    ['localhost.example.org', false],
    ['example.org', false],
    ['0.0.0.0', false],
    ['', false],
  ])('%s is this machine: %s', async (host, is) => {
    const { isLoopback } = await load<Finder>('find-daemon');
    expect(isLoopback(host)).toBe(is);
  });

  test('those that answer as a daemon are found, and nobody is shown a right', async () => {
    const { findDaemons } = await load<Finder>('find-daemon');
    const seen: RequestInit[] = [];
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      seen.push(init);
      if (url.includes(':10001/')) return Response.json({ status: 'ok' });
      if (url.includes(':9999/')) return new Response('<html>another program');
      throw new TypeError('refused');
    });
    expect(await findDaemons('127.0.0.1')).toEqual([10_001]);
    expect(seen).toHaveLength(22);
    expect(seen.every(({ headers, credentials }) => headers === undefined && credentials === 'omit')).toBe(true);
  });
});

describe('places', () => {
  test('a session id of any signs comes back from the address; what is no place is the dashboard', async () => {
    const { daemon: _ } = await tab();
    const { hashOf, placeOf } = await load<Router>('router');
    for (const sessionId of ['abc', 'a/b', 'ü #?&', '%2F', '..']) {
      expect(placeOf(hashOf({ page: 'session', sessionId }))).toEqual({ page: 'session', sessionId });
      expect(placeOf(hashOf({ page: 'inspect', sessionId }))).toEqual({ page: 'inspect', sessionId });
    }
    for (const hash of ['', '#', '#/', '#/nowhere', '#/sessions', '#/sessions/', '#/sessions/%E0%A4%A']) {
      expect(placeOf(hash)).toEqual({ page: 'dashboard' });
    }
    expect(placeOf('#/inspect')).toEqual({ page: 'inspect', sessionId: null });
  });
});
