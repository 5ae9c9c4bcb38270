import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { auth } from '../../src/transport/auth.ts';
import { type Guest, withGuests } from './guests.ts';
import { AUTH, Client, type Frame, TOKEN, until, type World, world } from './world.ts';

const OBSERVER = 'ffeeddccbbaa99887766554433221100ffeeddccbbaa9988';
const LOOKS_ON = { authorization: `Bearer ${OBSERVER}` };

let w: World;
let guests: Guest[];
const reached: string[] = [];
let clients: Client[] = [];
beforeAll(async () => {
  w = await world({ observerToken: OBSERVER });
  guests = withGuests(w.runtime);
  const commands = [
    'create',
    'submit',
    'cancel',
    'resolve',
    'patch',
    'delete',
    'undelete',
    'fork',
    'editQueued',
    'withdraw',
  ];
  for (const name of commands) {
    const inner = Reflect.get(w.runtime, name) as ((...args: unknown[]) => void) | undefined;
    Reflect.set(w.runtime, name, (...args: unknown[]) => {
      reached.push(name);
      inner?.call(w.runtime, ...args);
    });
  }
});
afterAll(() => w.close());
beforeEach(() => {
  w.runtime.seed('s');
  reached.length = 0;
});
afterEach(async () => {
  for (const c of clients) c.ws.terminate();
  clients = [];
  await until('nobody is left', () => w.runtime.attachments.size === 0);
});

const open = async (query: string, token = OBSERVER): Promise<Client> => {
  const c = new Client(w.server.port, `sessionId=s&${query}`, { authorization: `Bearer ${token}` });
  clients.push(c);
  await c.next((f) => f.seq === 1);
  return c;
};
const COMMANDS = [
  { type: 'turn.submit', sessionId: 's', requestId: 'q', clientId: 'c', writerId: 'w', content: 'x' },
  { type: 'turn.cancel', sessionId: 's', requestId: 'q', turnId: 'active' },
  { type: 'permission.resolve', sessionId: 's', ackId: 'q', requestId: 'p1', decision: 'allow', decidedBy: 'a' },
];
const REFUSED = { error: 'Read only: an observer changes nothing', code: 'read-only-token', retryable: false };

describe('tokens', () => {
  const head = (authorization?: string) => ({
    method: 'GET',
    path: '/',
    query: '',
    headers: new Map(authorization === undefined ? [] : [['authorization', authorization]]),
  });
  const both = auth('full', 'look');
  test.each([
    ['Bearer full', '', 'full', 'full'],
    ['Bearer look', '', 'observer', 'observer'],
    [undefined, 'token=full', 'full', 'full'],
    [undefined, 'token=look', 'observer', 'observer'],
    ['Bearer look', 'token=full', 'full', 'observer'],
    ['Bearer full', 'token=look', 'full', 'full'],
    ['Bearer x', 'token=look', 'observer', null],
    ['Bearer x', 'token=x', null, null],
    [undefined, 'token=look&token=look', null, null],
    [undefined, '', null, null],
  ] as const)('[AC1] %s and %s: %s on HTTP, %s on a socket', (bearer, query, http, socket) => {
    const asked = [head(bearer), new URLSearchParams(query)] as const;
    expect([both.http(...asked)?.right ?? null, both.socket(...asked)?.right ?? null]).toEqual([http, socket]);
  });

  test('[AC1] without an observer token nobody is one, and neither may be empty or the same', () => {
    expect(auth('full').http(head('Bearer undefined'), new URLSearchParams())).toBeNull();
    expect(() => auth('full', '')).toThrow('empty');
    expect(() => auth('same', 'same')).toThrow('same');
  });
});

describe('HTTP', () => {
  test('[AC2] no operation that changes something takes the token, and its body is not read', async () => {
    // A ticket is a right of its own: whoever has one needs no token.
    const writes = OPERATION_IDS.filter((id) => operation(id).safety === 'write' && !operation(id).open);
    expect(writes.length).toBeGreaterThan(8);
    for (const id of writes) {
      for (const path of operation(id).paths) {
        const url = path.replace(':id', 's').replaceAll(/:\w+/g, 'x');
        const body = operation(id).body === null ? {} : { body: 'not json' };
        const r = await w.get(url, { method: operation(id).method, headers: LOOKS_ON, ...body });
        expect([id, r.status, r.json]).toEqual([id, 403, REFUSED]);
      }
    }
    expect(reached).toEqual([]);
  });

  test('[AC2] what only reads takes it', async () => {
    for (const path of [
      '/v3/health',
      '/v3/metrics',
      '/metrics',
      '/v3/sessions',
      '/v3/sessions/s',
      '/v3/sessions/s/events',
    ]) {
      expect([path, (await w.get(path, { headers: LOOKS_ON })).status]).toEqual([path, 200]);
    }
    expect(
      (await w.get('/v3/sessions', { headers: { ...LOOKS_ON, authorization: `Bearer ${OBSERVER}0` } })).status,
    ).toBe(401);
  });
});

describe('sockets', () => {
  const refusedAll = async (c: Client): Promise<void> => {
    for (const frame of COMMANDS) c.send(frame);
    await until('three refusals', () => c.frames.filter((f) => f.error).length === 3);
    expect(c.frames.filter((f) => f.error)).toEqual(COMMANDS.map(() => ({ ...REFUSED, requestId: 'q' })));
    expect(reached).toEqual([]);
    c.send({ type: 'ping' });
    await c.next((f) => f.type === 'heartbeat');
  };

  test('[AC2] the commands of an observer token are refused, and the socket goes on', async () => {
    await refusedAll(await open(''));
  });

  test('[AC2] neither the URL nor a hello makes more of that token', async () => {
    const c = await open('role=controller&clientId=me');
    expect(guests[0]?.who).toEqual({ role: 'observer', via: 'ws', clientId: 'me' });
    c.send({ type: 'hello', role: 'controller', requestId: 'h' });
    expect(await c.next((f) => f.type === 'ack')).toMatchObject({ action: 'hello', role: 'observer' });
    expect(guests[0]?.who?.role).toBe('observer');
    await refusedAll(c);
  });

  test('[AC2] who comes as an observer with the full token is one, until it says otherwise', async () => {
    const c = await open('role=observer', TOKEN);
    expect(guests[0]?.who).toEqual({ role: 'observer', via: 'ws' });
    await refusedAll(c);
    c.send({ type: 'hello', role: 'automation' });
    c.send(COMMANDS[1]);
    await c.next((f: Frame) => f.type === 'ack' && f.action === 'turn.cancel');
    c.send({ type: 'hello', role: 'observer' });
    c.send(COMMANDS[1]);
    await until('refused again', () => c.frames.filter((f) => f.error).length === 4);
    expect(reached).toEqual(['cancel']);
  });

  test('[AC2] an event stream over HTTP is an observer, with either token', async () => {
    expect(operation('events.stream').safety).toBe('read');
    expect((await w.get('/v3/sse/events', { headers: LOOKS_ON })).status).toBe(400);
    expect((await w.get('/v3/sse/events', { headers: AUTH })).status).toBe(400);
  });
});
