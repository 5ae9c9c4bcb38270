import type { Socket } from 'node:net';
import { until } from '../support/daemon.ts';
import type { Attack, Target } from './attack.ts';
import { dial, head, inTurn, sleep, statusOf, talk, upgrade } from './raw-client.ts';

/** Bodies that one reader ends where another goes on. The rest is a request of its own for whoever is wrong. */
const shapes = (target: Target, smuggled: string): [what: string, request: string][] => {
  const post = (more: string, body: string): string =>
    head(target, 'POST /v3/sessions', `Content-Type: application/json\r\n${more}`) + body;
  const length = (n: number | string): string => `Content-Length: ${n}\r\n`;
  const chunked = 'Transfer-Encoding: chunked\r\n';
  const ended = `0\r\n\r\n${smuggled}`;
  const inside = `{}${smuggled}`;
  return [
    ['a length and chunks', post(length(ended.length) + chunked, ended)],
    ['chunks and a length', post(chunked + length(ended.length), ended)],
    ['two lengths that differ', post(length(2) + length(inside.length), inside)],
    ['two lengths that differ, the other way', post(length(inside.length) + length(2), inside)],
    ['two lengths in one line', post('Content-Length: 2, 2\r\n', inside)],
    ['a folded length', post(`X: y\r\n Content-Length: ${inside.length}\r\n${length(2)}`, inside)],
    ['a length with a sign', post(length(`+${inside.length}`), inside)],
    ['a length in hexadecimal', post(length(`0x${inside.length.toString(16)}`), inside)],
    ['a negative length', post(length('-1'), inside)],
    ['a length of twenty digits', post(length('9'.repeat(20)), inside)],
    ['a space before the colon', post(`Content-Length : ${inside.length}\r\n${length(2)}`, inside)],
    ['chunks by another name', post(`Transfer-Encoding: xchunked\r\n${length(inside.length)}`, inside)],
    ['chunks inside of other chunks', post(`Transfer-Encoding: chunked\r\n${chunked}`, ended)],
    ['a chunk size that is none', post(chunked, `zz\r\n{}\r\n${ended}`)],
    ['a chunk size beyond all bounds', post(chunked, `ffffffffffffffff1\r\n{}\r\n${ended}`)],
    ['bare line feeds', `POST /v3/sessions HTTP/1.1\nHost: 127.0.0.1:${target.port}\nContent-Length: 2\n\n${inside}`],
    ['a null in a header', post(`X: a\0b\r\n${length(2)}`, inside)],
  ];
};

const smuggling: Attack = {
  name: 'smuggling',
  what: 'requests that two readers would end at different places',
  run: async (target) => {
    const { daemon } = target;
    const tries = await smuggledTries(target);
    await inTurn(tries.length, 6, async (i) => {
      const bytes = Buffer.from(tries[i]?.request ?? '', 'latin1');
      await talk(target.port, [bytes], { waitMs: 500 });
    });
    const found: string[] = [];
    for (const { what, victim, marker } of tries) {
      const deleted = (await daemon.get(`/v3/sessions/${victim}`)).json.deletedAt !== undefined;
      const made = (await daemon.get(`/v3/sessions/${marker}`)).status !== 404;
      if (deleted || made) found.push(`${what}: the request behind it was carried out`);
    }
    return found;
  },
};

/** Each shape with a request behind it that deletes a session, and with one that makes one. */
const smuggledTries = async (
  target: Target,
): Promise<{ what: string; request: string; victim: string; marker: string }[]> => {
  const tries = [];
  for (const kind of ['delete', 'make']) {
    for (let i = 0; i < shapes(target, '').length; i++) {
      const [victim, marker] = [await target.daemon.create(), `${target.sessionId}-${kind}-${i}`];
      const body = JSON.stringify({ sessionId: marker });
      const more = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
      const behind =
        kind === 'delete'
          ? head(target, `DELETE /v3/sessions/${victim}`)
          : head(target, 'POST /v3/sessions', more) + body;
      const [what, request] = shapes(target, behind)[i] as [string, string];
      tries.push({ what, request, victim, marker });
    }
  }
  return tries;
};

const oversized: Attack = {
  name: 'oversized',
  what: 'heads, URLs and bodies above every bound, told or not',
  run: async (target) => {
    const found: string[] = [];
    const big = 'x'.repeat(1 << 20);
    const chunk = `${(1 << 20).toString(16)}\r\n${big}\r\n`;
    const requests: [string, (string | Uint8Array)[], number[]][] = [
      ['a URL of 100,000', [head(target, `GET /v3/sessions/${'a'.repeat(100_000)}`)], [0, 400, 404, 414, 431]],
      ['a head of 1 MiB', [head(target, 'GET /v3/health', `X: ${big}\r\n`)], [0, 400, 431]],
      ['10,000 header lines', [head(target, 'GET /v3/health', 'X: y\r\n'.repeat(10_000))], [0, 400, 431]],
      [
        'a body of 11 MiB',
        [
          head(target, 'POST /v3/sessions', `Content-Length: ${11 << 20}\r\n`),
          ...Array.from({ length: 11 }, () => big),
        ],
        [413],
      ],
      [
        'a body of 2^60',
        [head(target, 'POST /v3/sessions', `Content-Length: ${(1n << 60n).toString()}\r\n`), big],
        [0, 400, 413],
      ],
      [
        'chunks without end',
        [
          head(target, 'POST /v3/sessions', 'Transfer-Encoding: chunked\r\n'),
          ...Array.from({ length: 12 }, () => chunk),
        ],
        [0, 413],
      ],
    ];
    for (const [what, parts, statuses] of requests) {
      const { text } = await talk(target.port, parts, { enough: (t) => t.includes('\r\n\r\n') });
      if (!statuses.includes(statusOf(text))) found.push(`${what}: answered with ${statusOf(text)}`);
    }
    return found;
  },
};

interface Slow {
  what: string;
  first(target: Target): string;
  /** Sent again and again. */
  more: string;
}

const SLOW: Slow[] = [
  { what: 'heads', first: ({ port }) => `GET /v3/health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`, more: 'X-A: b\r\n' },
  {
    what: 'bodies',
    first: (t) => head(t, 'POST /v3/sessions', 'Content-Type: application/json\r\nContent-Length: 100000\r\n'),
    more: ' ',
  },
  { what: 'upgrades', first: (t) => upgrade(t, t.sessionId).slice(0, -4), more: '\r\nX-A: b' },
  { what: 'nothing', first: () => '', more: '' },
];

const slowLoris: Attack = {
  name: 'slow',
  what: 'heads, bodies and upgrades that come a byte at a time and never end',
  settleMs: 15_000,
  run: async (target) => {
    const held: Socket[] = [];
    const each = target.size(75, 750);
    for (const kind of SLOW) {
      await inTurn(each, 50, async () => {
        const socket = await dial(target.port);
        socket.resume();
        socket.write(kind.first(target));
        held.push(socket);
        const drip = setInterval(() => kind.more !== '' && socket.write(kind.more), 500);
        socket.once('close', () => clearInterval(drip));
      });
    }
    // Each has a deadline; that it does not go up with each byte shows in that all of them end though the drip goes on.
    await sleep(target.size(2_000, 0));
    const patienceMs = target.size(0, 90_000);
    if (patienceMs > 0) {
      await until('the daemon to end them', () => held.every((s) => s.destroyed), patienceMs, 200).catch(
        () => undefined,
      );
    }
    const left = held.filter((s) => !s.destroyed).length;
    for (const socket of held) socket.destroy();
    return patienceMs > 0 && left > 0
      ? [`after ${patienceMs / 1000} s ${left} of ${held.length} slow connections are still held`]
      : [];
  },
};

export const HTTP: Attack[] = [smuggling, oversized, slowLoris];
