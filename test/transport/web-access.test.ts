import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { type KeyFile, WebKeys } from '../../src/transport/web/access-keys.ts';
import { AUTH, Client, raw, TOKEN, until, type World, world } from './world.ts';

class MemoryFile implements KeyFile {
  text: string | null = null;
  writes = 0;
  broken = false;
  read = () => this.text;
  write = (text: string): void => {
    if (this.broken) throw new Error('EROFS: read-only file system');
    this.text = text;
    this.writes += 1;
  };
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (cause) {
    return cause instanceof OptaError ? cause.code : String(cause);
  }
  return 'nothing';
};

describe('keys', () => {
  let file: MemoryFile;
  let warned: string[];
  let keys: WebKeys;
  const timers = {
    setTimeout: (fn: () => void, ms: number) => setTimeout(fn, ms),
    clearTimeout: (id: unknown) => clearTimeout(id as NodeJS.Timeout),
  };
  const made = (): WebKeys =>
    new WebKeys({ file, now: () => Date.now(), timers, warn: (message) => void warned.push(message) });
  const key = (of = keys): string => of.redeem(of.ticket().ticket).key;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    [file, warned] = [new MemoryFile(), []];
    keys = made();
  });
  afterEach(() => vi.useRealTimers());

  test('[WB2] a ticket gives one key, once', () => {
    const { ticket, expiresAt } = keys.ticket();
    expect(Buffer.from(ticket, 'base64url')).toHaveLength(32);
    expect(expiresAt).toBe(Date.now() + 60_000);
    const { key: first } = keys.redeem(ticket);
    expect(Buffer.from(first, 'base64url')).toHaveLength(32);
    expect(keys.use(first)).not.toBeNull();
    expect(codeOf(() => keys.redeem(ticket))).toBe('ticket-refused');
  });

  test('[WB2] an unknown, a used and a late ticket are refused in the same words', () => {
    const late = keys.ticket().ticket;
    vi.advanceTimersByTime(60_000);
    const used = keys.ticket().ticket;
    keys.redeem(used);
    const words = [late, used, 'x'.repeat(43), ''].map((ticket) => {
      try {
        keys.redeem(ticket);
      } catch (cause) {
        return String(cause);
      }
      return 'taken';
    });
    expect(new Set(words).size).toBe(1);
    expect(words[0]).toContain('unknown, used or too old');
  });

  test('[WB2] of many tickets the oldest is void, and of many guesses the next is put off; a right ticket never is', () => {
    const tickets = Array.from({ length: LIMITS.webTicketsMax + 1 }, () => keys.ticket().ticket);
    expect(codeOf(() => keys.redeem(tickets[0] as string))).toBe('ticket-refused');
    for (let i = 1; i < LIMITS.webRefusalsMax; i++) expect(codeOf(() => keys.redeem('x'))).toBe('ticket-refused');
    expect(codeOf(() => keys.redeem('x'))).toBe('too-many-requests');
    expect(keys.redeem(tickets[1] as string).key).toBeTruthy();
    vi.advanceTimersByTime(LIMITS.webTicketMs);
    expect(codeOf(() => keys.redeem('x'))).toBe('ticket-refused');
  });

  test('[WB3] the file has the hash and not the key, and another daemon takes the key', () => {
    const mine = key();
    expect(file.text).not.toContain(mine);
    expect(JSON.parse(file.text ?? '').keys).toEqual([
      { hash: createHash('sha256').update(mine).digest('hex'), createdAt: Date.now(), usedAt: Date.now() },
    ]);
    expect(made().use(mine)).not.toBeNull();
    expect(made().use(`${mine}x`)).toBeNull();
  });

  test('[WB3] a key ends when it was not used for 12 hours, and each use puts that off', () => {
    const mine = key();
    for (let hours = 0; hours < 33; hours += 11) {
      vi.advanceTimersByTime(11 * 3_600_000);
      expect(keys.use(mine)).not.toBeNull();
    }
    vi.advanceTimersByTime(12 * 3_600_000);
    expect(keys.use(mine)).toBeNull();
    expect(JSON.parse(file.text ?? '').keys).toEqual([]);
  });

  test('[WB3] a key ends after seven days, however much it is used and whatever it holds open', () => {
    const mine = key();
    const ended: number[] = [];
    const hash = keys.use(mine) as string;
    keys.hold(hash, () => void ended.push(Date.now()));
    const begun = Date.now();
    for (let hour = 1; hour < 7 * 24; hour++) {
      vi.advanceTimersByTime(3_600_000);
      if (hour % 11 === 0) expect(keys.use(mine)).not.toBeNull();
    }
    expect(ended).toEqual([]);
    vi.advanceTimersByTime(3_600_000);
    expect(ended.map((at) => at - begun)).toEqual([7 * 24 * 3_600_000]);
    expect(keys.use(mine)).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('[WB3] what is open counts as a use', () => {
    const mine = key();
    const release = keys.hold(keys.use(mine) as string, () => undefined);
    vi.advanceTimersByTime(30 * 3_600_000);
    expect(keys.use(mine)).not.toBeNull();
    release();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(11 * 3_600_000);
    expect(keys.use(mine)).not.toBeNull();
  });

  test('[WB3] uses are written once a minute at most, and at the end', () => {
    const mine = key();
    const before = file.writes;
    for (let second = 0; second < 120; second++) {
      vi.advanceTimersByTime(1_000);
      keys.use(mine);
    }
    expect(file.writes - before).toBe(2);
    vi.advanceTimersByTime(1_000);
    keys.use(mine);
    keys.close();
    expect(JSON.parse(file.text ?? '').keys[0].usedAt).toBe(Date.now());
  });

  test('[WB3] above 64 the oldest key gives way, and what it held ends', () => {
    const first = key();
    let ended = 0;
    keys.hold(keys.use(first) as string, () => {
      ended += 1;
    });
    const others = Array.from({ length: LIMITS.webKeysMax }, () => key());
    expect([keys.held.keys, keys.use(first), ended]).toEqual([LIMITS.webKeysMax, null, 1]);
    expect(others.every((other) => keys.use(other) !== null)).toBe(true);
  });

  test('[WB3] one key is given back, or all are revoked with the tickets that wait', () => {
    const [a, b, c] = [key(), key(), key()];
    const hash = keys.use(a) as string;
    expect([keys.signOut(hash), keys.signOut(hash), keys.use(a)]).toEqual([true, false, null]);
    const { ticket } = keys.ticket();
    expect(keys.revokeAll()).toBe(2);
    expect([b, c].map((k) => keys.use(k))).toEqual([null, null]);
    expect(codeOf(() => keys.redeem(ticket))).toBe('ticket-refused');
    expect(made().held.keys).toBe(0);
  });

  test('[WB3] a revocation that cannot be written is said to have failed; a new key only warns', () => {
    const mine = key();
    file.broken = true;
    expect(codeOf(() => keys.revokeAll())).toBe('storage');
    // Here and now it has ended all the same.
    expect(keys.use(mine)).toBeNull();
    const other = key();
    expect(keys.use(other)).not.toBeNull();
    expect(warned.at(-1)).toContain('could not be written');
  });

  test.each([
    ['no JSON', '{"v":1,"keys":['],
    ['another version', '{"v":2,"keys":[]}'],
    ['a hash that is none', '{"v":1,"keys":[{"hash":"x","createdAt":1,"usedAt":1}]}'],
    [
      'more keys than there may be',
      JSON.stringify({ v: 1, keys: Array(65).fill({ hash: '0'.repeat(64), createdAt: 1, usedAt: 1 }) }),
    ],
    ['more text than there may be', ' '.repeat(LIMITS.webKeysFileCharsMax + 1)],
  ])('[WB3] a file with %s is no keys and a warning', (_what, text) => {
    file.text = text;
    expect(made().held.keys).toBe(0);
    expect(warned).toEqual([expect.stringContaining('cannot be read')]);
  });

  test('[WB3] a key from the future, and one that ended meanwhile, are not taken from the file', () => {
    const mine = key();
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(made().use(mine)).toBeNull();
    vi.setSystemTime(Date.now() + 14 * 3_600_000);
    expect(made().use(mine)).toBeNull();
  });
});

describe('over the wire', () => {
  let w: World;
  let file: MemoryFile;
  beforeEach(async () => {
    file = new MemoryFile();
    w = await world({ webKeys: file, observerToken: 'look'.repeat(12) });
    w.runtime.seed('s');
  });
  afterEach(() => w.close());
  const ticket = async (): Promise<{ ticket: string; url: string; expiresAt: string; page: boolean }> => {
    const r = await w.post('/v3/web/tickets', {});
    expect(r.status).toBe(201);
    return r.json;
  };
  const turnIn = (given: string, headers = {}) =>
    fetch(`${w.url}/v3/web/keys`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ ticket: given }),
    });
  const newKey = async (): Promise<string> =>
    ((await (await turnIn((await ticket()).ticket)).json()) as { key: string }).key;
  const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } as never });
  const offerOf = (key: string): string[] => ['opta.v3', `opta.token.${Buffer.from(key).toString('base64url')}`];

  test('[WB2, WB4] a ticket comes in the fragment of an address, and gives a key that opens both planes', async () => {
    const t = await ticket();
    expect(t.url).toBe(`${w.url}/#ticket=${t.ticket}`);
    expect(t.page).toBe(false);
    const r = await turnIn(t.ticket, { origin: w.url });
    expect([r.status, r.headers.get('cache-control'), r.headers.get('set-cookie')]).toEqual([201, 'no-store', null]);
    const body = (await r.json()) as { key: string; daemonId: string; idleMs: number; expiresAt: string };
    expect(body).toMatchObject({ daemonId: w.runtime.daemonId, idleMs: 12 * 3_600_000 });
    expect(Date.parse(body.expiresAt) - Date.now()).toBeGreaterThan(6 * 24 * 3_600_000);
    expect((await w.get('/v3/health', as(body.key))).status).toBe(200);
    expect((await w.post('/v3/sessions', {}, { authorization: `Bearer ${body.key}` })).status).toBe(201);
    const socket = new Client(w.server.port, 'sessionId=s&afterSeq=0', {}, offerOf(body.key));
    await socket.opened();
    await socket.next((f) => f.event === 'session.snapshot');
    socket.ws.close();
  });

  test('[WB2] a wrong ticket is 401 with its own code, and another origin gets as far as anywhere', async () => {
    const wrong = await turnIn('x'.repeat(43));
    expect([wrong.status, await wrong.json()]).toEqual([
      401,
      expect.objectContaining({ code: 'ticket-refused', retryable: false }),
    ]);
    const elsewhere = await turnIn((await ticket()).ticket, { origin: 'https://evil.example' });
    expect(elsewhere.status).toBe(403);
    expect((await w.post('/v3/web/keys', { ticket: 7 })).status).toBe(400);
  });

  test('[WB2, AC2] neither an observer nor a key gets a ticket', async () => {
    const look = await w.post('/v3/web/tickets', {}, { authorization: `Bearer ${'look'.repeat(12)}` });
    expect([look.status, look.json.code]).toEqual([403, 'read-only-token']);
    const again = await w.post('/v3/web/tickets', {}, { authorization: `Bearer ${await newKey()}` });
    expect([again.status, again.json.code]).toEqual([401, 'ticket-refused']);
    expect((await w.get('/v3/web/tickets', { method: 'POST', headers: {} })).status).toBe(401);
  });

  test('[WB3] a key that is given back ends, and with it its socket and its stream', async () => {
    const [mine, other] = [await newKey(), await newKey()];
    const socket = new Client(w.server.port, 'sessionId=s&afterSeq=0', {}, offerOf(mine));
    await socket.opened();
    const bystander = new Client(w.server.port, 'sessionId=s&afterSeq=0', {}, offerOf(other));
    await bystander.opened();
    const stream = await fetch(`${w.url}/v3/health/stream`, { headers: { authorization: `Bearer ${mine}` } });
    const reader = stream.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    await reader.read();
    const r = await w.get('/v3/web/keys/current', { method: 'DELETE', ...as(mine) });
    expect([r.status, r.json]).toEqual([200, { revoked: 1 }]);
    expect(await socket.ended()).toEqual({ code: 4001, reason: 'unauthorized' });
    expect(socket.frames.at(-1)).toMatchObject({ code: 'unauthorized' });
    await expect(
      (async () => {
        for (;;) if ((await reader.read()).done) throw new Error('ended');
      })(),
    ).rejects.toThrow();
    expect((await w.get('/v3/health', as(mine))).status).toBe(401);
    expect((await w.get('/v3/health', as(other))).status).toBe(200);
    expect(bystander.closed).toBeNull();
    bystander.ws.close();
    // The token is no key of a page: there is nothing to give back.
    expect((await w.get('/v3/web/keys/current', { method: 'DELETE' })).json.code).toBe('not-found');
  });

  test('[WB3] all are revoked at once, by the token or by a key', async () => {
    const [a, b] = [await newKey(), await newKey()];
    const r = await w.get('/v3/web/keys', { method: 'DELETE', ...as(a) });
    expect(r.json).toEqual({ revoked: 2 });
    for (const key of [a, b]) expect((await w.get('/v3/health', as(key))).status).toBe(401);
    expect((await w.get('/v3/web/keys', { method: 'DELETE' })).json).toEqual({ revoked: 0 });
  });

  test('[WB3] a stream whose key ends while its answer is made is never opened', async () => {
    const mine = await newKey();
    w.runtime.hold = true;
    const answer = fetch(`${w.url}/v3/inspect/stream?sessionId=s`, as(mine));
    await until('the handler waits', () => w.runtime.held === 1);
    expect((await w.get('/v3/web/keys', { method: 'DELETE' })).json).toEqual({ revoked: 1 });
    w.runtime.release();
    const r = await answer;
    expect([r.status, ((await r.json()) as { code: string }).code]).toEqual([401, 'unauthorized']);
    expect(w.runtime.inspectors.size).toBe(0);
  });

  test('[WB3] what is read with a key that ends meanwhile is not answered; what a command did is', async () => {
    const mine = await newKey();
    w.runtime.hold = true;
    const read = w.get('/v3/sessions/s', as(mine));
    const done = w.post('/v3/sessions', { sessionId: 'made' }, { authorization: `Bearer ${mine}` });
    await until('both wait', () => w.runtime.held === 2);
    await w.get('/v3/web/keys', { method: 'DELETE' });
    w.runtime.release();
    expect([(await read).status, (await done).status]).toEqual([401, 201]);
  });

  test('[WB3] a command whose body comes after the end of its key is not run', async () => {
    const mine = await newKey();
    const body = JSON.stringify({ sessionId: 'late' });
    const net = connect(w.server.port, '127.0.0.1');
    let text = '';
    net.on('data', (d) => {
      text += d.toString('latin1');
    });
    net.write(
      `POST /v3/sessions HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nAuthorization: Bearer ${mine}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    );
    const read = async () =>
      (await w.get('/v3/overview')).json.limits.find((g: { limit: string }) => g.limit === 'bodiesBytesMax').value;
    await expect.poll(read).toBe(5);
    await w.get('/v3/web/keys', { method: 'DELETE' });
    net.write(body.slice(5));
    await until('the answer comes', () => text.includes('\r\n\r\n'));
    net.destroy();
    expect(text).toMatch(/^HTTP\/1.1 401 /);
    expect(w.runtime.sessions.has('late')).toBe(false);
  });

  test('[WB3] a socket whose key has ended runs no command that comes after', async () => {
    const mine = await newKey();
    const socket = new Client(w.server.port, 'sessionId=s&afterSeq=0', {}, offerOf(mine));
    await socket.next((f) => f.event === 'session.snapshot');
    await w.get('/v3/web/keys', { method: 'DELETE' });
    // The peer has not heard of the end yet, or does as if.
    socket.send({ type: 'turn.submit', content: 'late', requestId: 'r' });
    expect(await socket.ended()).toEqual({ code: 4001, reason: 'unauthorized' });
    expect(w.runtime.submits).toEqual([]);
    expect(w.runtime.attachments.size).toBe(0);
  });

  test('[WB2, SV3] a body without a right may be no larger than a ticket needs, however it is sent', async () => {
    const large = JSON.stringify({ ticket: 'x'.repeat(5_000) });
    const known = await turnIn('x'.repeat(5_000));
    expect([known.status, await known.json()]).toEqual([413, expect.objectContaining({ bytesMax: 4_096 })]);
    const head = `POST /v3/web/keys HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nContent-Type: application/json\r\n`;
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${large.length.toString(16)}\r\n${large}\r\n`;
    const { text } = await raw(w.server.port, [chunked], { enough: (so) => so.includes('\r\n\r\n') });
    expect(text).toMatch(/^HTTP\/1.1 413 /);
    // Within it a right is what counts.
    expect((await turnIn('x'.repeat(256))).status).toBe(401);
  });

  test('[WB4] a key in a URL is none', async () => {
    const mine = await newKey();
    expect((await w.get(`/v3/health?token=${mine}`, { headers: {} })).status).toBe(401);
    const socket = new Client(w.server.port, `sessionId=s&afterSeq=0&token=${mine}`);
    expect(await socket.ended()).toMatchObject({ code: 4001 });
  });

  test('[WB4] the token goes with the offer of a subprotocol, and is not in the answer', async () => {
    const socket = new Client(w.server.port, 'sessionId=s&afterSeq=0', {}, offerOf(TOKEN));
    let answered: { [name: string]: unknown } = {};
    socket.ws.on('upgrade', (res) => {
      answered = res.headers;
    });
    await socket.next((f) => f.event === 'session.snapshot');
    expect(answered['sec-websocket-protocol']).toBe('opta.v3');
    expect(JSON.stringify(answered)).not.toContain(Buffer.from(TOKEN).toString('base64url'));
    socket.ws.close();
  });

  test.each([
    ['a wrong one', ['opta.v3', 'opta.token.eA'], {}, '', 4001],
    ['two', ['opta.v3', 'opta.token.eA', 'opta.token.eQ'], {}, '', 4001],
    ['one that is no base64url', ['opta.v3', 'opta.token.a!'], {}, '', 4001],
    ['a wrong one beside the right query', ['opta.v3', 'opta.token.eA'], {}, `&token=${TOKEN}`, 4001],
    ['a wrong one beside the right header', ['opta.v3', 'opta.token.eA'], AUTH, '', 0],
    ['a right one beside a wrong header', offerOf(TOKEN), { authorization: 'Bearer x' }, '', 4001],
    ['a right one beside a wrong query', offerOf(TOKEN), {}, '&token=x', 0],
    ['none beside the right query', ['opta.v3'], {}, `&token=${TOKEN}`, 0],
  ])('[WB4, AC1] header before subprotocol before query: %s', async (_what, offer, headers, query, code) => {
    const socket = new Client(w.server.port, `sessionId=s&afterSeq=0${query}`, headers, offer);
    let answer: unknown = null;
    socket.ws.on('upgrade', (res) => {
      answer = res.headers['sec-websocket-protocol'] ?? null;
    });
    if (code !== 0) expect((await socket.ended()).code).toBe(code);
    else await socket.next((f) => f.event === 'session.snapshot');
    expect(answer).toBe('opta.v3');
    socket.ws.terminate();
  });

  const b64 = (text: string): string => Buffer.from(text).toString('base64url');
  test.each([
    ['in two header lines', [`opta.v3`, `opta.token.${b64(TOKEN)}`], true],
    ['twice, in two header lines', [`opta.v3, opta.token.${b64(TOKEN)}`, `opta.token.${b64(TOKEN)}`], false],
    ['empty', ['opta.v3, opta.token.'], false],
    ['padded', [`opta.v3, opta.token.${b64(TOKEN)}==`], false],
    ['with another sign', [`opta.v3, opta.token.${b64(TOKEN)}+`], false],
    ['in other case', [`opta.v3, OPTA.TOKEN.${b64(TOKEN)}`], false],
    ['without the subprotocol', [`opta.token.${b64(TOKEN)}`], true],
    [
      'among a hundred others',
      [`${Array.from({ length: 100 }, (_, i) => `p${i}`).join(', ')}, opta.v3, opta.token.${b64(TOKEN)}`],
      true,
    ],
    ['too long', [`opta.v3, opta.token.${'A'.repeat(1_025)}`], false],
    ['with bytes above ASCII', [`opta.v3, opta.token.\u00e9${b64(TOKEN)}`], false],
    [
      'as bytes that are no text',
      [`opta.v3, opta.token.${Buffer.from([0xff, 0xfe, 0x00]).toString('base64url')}`],
      false,
    ],
  ])('[WB4] a token offered %s', async (_what, lines, isIn) => {
    const offers = lines.map((line) => `Sec-WebSocket-Protocol: ${line}\r\n`).join('');
    const { text } = await raw(
      w.server.port,
      [
        Buffer.from(
          `GET /v3/ws?sessionId=s&afterSeq=0 HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${offers}\r\n`,
          'latin1',
        ),
      ],
      { enough: (so) => /session\.snapshot|unauthorized|HTTP\/1.1 4/.test(so) },
    );
    expect(text.includes('session.snapshot')).toBe(isIn);
    expect(text.includes('opta.token')).toBe(false);
    expect(text.includes(b64(TOKEN))).toBe(false);
    expect(w.faults).toEqual([]);
    expect(w.logged.join('\n')).not.toContain(TOKEN);
    expect((await w.get('/v3/health')).status).toBe(200);
  });

  test('[WB4] nothing of it is logged', async () => {
    const t = await ticket();
    const key = ((await (await turnIn(t.ticket)).json()) as { key: string }).key;
    await turnIn(t.ticket);
    await w.get('/v3/health', as(key));
    const socket = new Client(w.server.port, 'sessionId=s&afterSeq=0', {}, offerOf(key));
    await socket.opened();
    await w.get('/v3/web/keys', { method: 'DELETE' });
    await until('the socket ends', () => socket.closed !== null);
    const log = w.logged.join('\n');
    const hash = createHash('sha256').update(key).digest('hex');
    for (const secret of [t.ticket, key, TOKEN, hash]) expect(log).not.toContain(secret);
    expect(w.faults).toEqual([]);
  });
});
