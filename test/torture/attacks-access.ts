import type { Attack, Target } from './attack.ts';
import { statusOf, talk } from './raw-client.ts';

/** Requests that have to be refused whatever they ask for, on every way in. */
interface Way {
  name: string;
  path(target: Target): string;
  lines: string;
}

const UPGRADE =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
const WAYS: Way[] = [
  { name: 'HTTP', path: () => '/v3/health', lines: '' },
  { name: 'a probe', path: () => '/health', lines: '' },
  { name: 'a socket', path: ({ sessionId }) => `/v3/ws?sessionId=${sessionId}`, lines: UPGRADE },
  {
    name: 'an event stream',
    path: ({ sessionId }) => `/v3/sse/events?sessionId=${sessionId}`,
    lines: 'Accept: text/event-stream\r\n',
  },
];

const ask = async (target: Target, way: Way, lines: string): Promise<string> => {
  const request = `GET ${way.path(target)} HTTP/1.1\r\n${lines}${way.lines}\r\n`;
  return (await talk(target.port, [request], { waitMs: 10_000, enough: (text) => text.includes('\r\n\r\n') })).text;
};

const bearer = ({ token }: Target): string => `Authorization: Bearer ${token}\r\n`;
const home = ({ port }: Target): string => `Host: 127.0.0.1:${port}\r\n`;

const strangeHosts = ({ port }: Target): string[] => [
  'Host: evil.example\r\n',
  `Host: evil.example:${port}\r\n`,
  `Host: localhost.evil.example:${port}\r\n`,
  `Host: 127.0.0.1.evil.example:${port}\r\n`,
  `Host: 127.0.0.1:${port}@evil.example\r\n`,
  `Host: 127.0.0.1:${port === 1 ? 2 : 1}\r\n`,
  'Host: 127.0.0.1\r\n',
  `Host: 127.0.0.1:${port}, evil.example\r\n`,
  `Host: evil.example\r\nHost: 127.0.0.1:${port}\r\n`,
  `Host: 127.0.0.1:${port}\r\nHost: evil.example\r\n`,
  'Host:\r\n',
  '',
];

const strangeOrigins = ({ port }: Target): string[] => [
  'https://evil.example',
  'null',
  `http://127.0.0.1.evil.example:${port}`,
  `http://localhost.evil.example:${port}`,
  `http://evil.example#http://127.0.0.1:${port}`,
  `http://127.0.0.1:${port}@evil.example`,
  'file://',
  'chrome-extension://abcdefghijklmnop',
  '',
];

/** 4xx, or no answer at all; what a stranger must not get is 101 or 2xx, and no header that lets its page read. */
const refused = (what: string, text: string): string[] => {
  const status = statusOf(text);
  const bad: string[] = [];
  if (text !== '' && (status < 400 || status >= 500)) bad.push(`${what}: answered with ${status}`);
  if (/^access-control-allow-origin:/im.test(text)) bad.push(`${what}: the answer has CORS headers`);
  return bad;
};

const strangers: Attack = {
  name: 'strangers',
  what: 'a wrong Host and a foreign Origin, with the right token, on every way in',
  run: async (target) => {
    const found: string[] = [];
    for (const way of WAYS) {
      for (const host of strangeHosts(target)) {
        found.push(...refused(`${way.name}, ${JSON.stringify(host)}`, await ask(target, way, host + bearer(target))));
      }
      for (const origin of strangeOrigins(target)) {
        const lines = `${home(target)}${bearer(target)}Origin: ${origin}\r\n`;
        found.push(...refused(`${way.name}, Origin ${origin}`, await ask(target, way, lines)));
      }
    }
    return found;
  },
};

const tokens: Attack = {
  name: 'tokens',
  what: 'no token and many wrong ones, on HTTP and on sockets',
  run: async (target) => {
    const { token, sessionId, port } = target;
    const swapped = token.replace(/[0-9a-f]/, (c) => (c === '0' ? '1' : '0'));
    const wrong = [
      '',
      token.slice(0, -1),
      `${token}0`,
      swapped,
      `${token}${token}`,
      'x'.repeat(2_000),
      `${token}\t${token}`,
    ];
    const lines = [
      '',
      `Authorization: Basic ${Buffer.from(`:${token}`).toString('base64')}\r\n`,
      ...wrong.map((t) => `Authorization: Bearer ${t}\r\n`),
    ];
    const found: string[] = [];
    for (const line of lines) {
      const what = JSON.stringify(line.slice(0, 60)).replaceAll(token, 'TOKEN');
      const http = await ask(target, WAYS[0] as Way, home(target) + line);
      if (statusOf(http) !== 401) found.push(`HTTP, ${what}: ${statusOf(http)} in place of 401`);
      const request = `GET /v3/ws?sessionId=${sessionId} HTTP/1.1\r\n${home(target)}${line}${UPGRADE}\r\n`;
      const socket = await talk(port, [request], { waitMs: 10_000, enough: (text) => text.includes('unauthorized') });
      if (!/"code":"unauthorized"/.test(socket.text)) found.push(`socket, ${what}: was not told unauthorized`);
      if (/session\.snapshot/.test(socket.text)) found.push(`socket, ${what}: was shown events`);
    }
    for (const query of [`?token=${swapped}`, `?token=${token}&token=${swapped}`, `?token=${swapped}&token=${token}`]) {
      const text = await ask(target, { name: '', path: () => `/v3/health${query}`, lines: '' }, home(target));
      if (statusOf(text) !== 401) found.push(`HTTP with two tokens or a wrong one in the URL: ${statusOf(text)}`);
    }
    return found;
  },
};

/** What a browser shows as a page passes its URL on, unless it is told not to. */
const isPage = (text: string): boolean => /^content-type:\s*text\/html/im.test(text);

const tokenInUrl: Attack = {
  name: 'token in a URL',
  what: 'the token in the URL of pages, files and routes: never echoed, never passed on',
  run: async (target) => {
    const { token, sessionId } = target;
    const paths = [
      '/',
      '/index.html',
      '/favicon.ico',
      '/nothing',
      '/v3',
      '/v3/nothing',
      '/v3/health',
      '/v3/sessions/nobody',
    ];
    const found: string[] = [];
    for (const path of [
      ...paths,
      `/v3/sessions/${sessionId}`,
      `/v3/ws?sessionId=${sessionId}`,
      `/${token}`,
      '/v3/%zz',
    ]) {
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']) {
        const url = `${path}${path.includes('?') ? '&' : '?'}token=${token}`;
        const request = `${method} ${url} HTTP/1.1\r\n${home(target)}Content-Length: 0\r\n\r\n`;
        const { text } = await talk(target.port, [request], { waitMs: 10_000, enough: (t) => t.includes('\r\n\r\n') });
        const what = `${method} ${path.replace(token, 'TOKEN')}`;
        // A path that is the token itself is the caller's own word, and comes back in the text of the 404.
        if (text.includes(token) && path !== `/${token}`) found.push(`${what}: the answer has the token in it`);
        if (isPage(text) && !/^referrer-policy:\s*no-referrer/im.test(text))
          found.push(`${what}: a page without Referrer-Policy`);
        if (
          !isPage(text) &&
          text !== '' &&
          !/^x-content-type-options:\s*nosniff/im.test(text) &&
          statusOf(text) !== 204
        )
          found.push(`${what}: may be taken for a page: no nosniff`);
      }
    }
    return found;
  },
};

export const ACCESS: Attack[] = [strangers, tokens, tokenInUrl];
