import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { shellWord } from '../../src/cli/commands/server.ts';
import { type CliResult, cli, endOf, removeDir, startCli, tempDir, until } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';
import { isEvent, isTerminal, path } from './world.ts';

/** `opta server`: the real CLI in the foreground, in front of a real daemon. */
interface Served {
  url: string;
  port: number;
  child: ChildProcess;
  banner: string;
  end(signal: NodeJS.Signals): Promise<CliResult>;
}
const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

const serve = async (home: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Served> => {
  const child = startCli(home, ['server', '-p', '0', ...args], { env });
  running.add(child);
  let banner = '';
  child.stdout?.on('data', (part) => {
    banner += part;
  });
  const ended = endOf(child, 60_000);
  await until(() => banner.includes('Ctrl+C') || child.exitCode !== null, 'the banner', 30_000);
  if (child.exitCode !== null) throw new Error(`it ended: ${JSON.stringify(await ended)}`);
  const port = Number(/opta server on http:\/\/127\.0\.0\.1:(\d+)\n/.exec(banner)?.[1]);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    child,
    banner,
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
};
const bearer = (daemon: { token: string }) => ({ authorization: `Bearer ${daemon.token}` });
const post = (url: string, daemon: { token: string }, body: object, more: RequestInit = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { ...bearer(daemon), 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...more,
  });

describe('in front of a daemon that runs', () => {
  let lmx: FakeLmx;
  let daemon: RealDaemon;
  let served: Served;
  let stateBefore: string;
  const state = () => readFileSync(join(daemon.home, 'daemon', 'state.json'), 'utf8');
  beforeAll(async () => {
    lmx = await startFakeLmx();
    daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
    stateBefore = state();
    served = await serve(daemon.home);
    running.delete(served.child);
  }, 60_000);
  afterAll(async () => {
    served?.child.kill('SIGKILL');
    await daemon?.stop();
    await lmx?.close();
  });

  test('[SH7] tools of a new session work in the folder of the server, as they did; one that has begun keeps its own', async () => {
    const script = '@@{"text":"x","tools":[{"name":"list_dir","args":{"path":"."}}]}@@';
    const answer = (await (await post(`${served.url}/v1/chat`, daemon, { message: script })).json()) as {
      session_id: string;
    };
    const session = async (id: string) => (await daemon.get(`/v3/sessions/${id}`)).body as { workspace?: string };
    expect((await session(answer.session_id)).workspace).toBe(daemon.home);
    const own = await post(`http://127.0.0.1:${daemon.port}/v1/chat`, daemon, { message: 'hi', session_id: 'bare' });
    expect(own.status).toBe(200);
    const again = await post(`${served.url}/v1/chat`, daemon, { message: 'hi', session_id: 'bare' });
    expect([again.status, (await session('bare')).workspace]).toEqual([200, undefined]);
  });

  test('[SH7] it says where it listens, which model and which daemon, and takes nothing from that daemon', async () => {
    expect(served.banner).toContain('model      fake-model');
    expect(served.banner).toContain(`http://127.0.0.1:${daemon.port}`);
    expect(served.banner).toContain(`POST ${served.url}/v1/chat`);
    expect(served.banner).not.toContain(daemon.token);
    expect(state()).toBe(stateBefore);
    expect((await daemon.get('/v3/health')).status).toBe(200);
  });

  test('[SH7] /health, /v1/chat and /v3 are those of the daemon, the token included', async () => {
    const health = await fetch(`${served.url}/health`);
    expect(await health.json()).toMatchObject({ status: 'ok', daemon: true, model: 'fake-model' });
    const stranger = await fetch(`${served.url}/v1/chat`, { method: 'POST', body: '{"message":"x"}' });
    expect([stranger.status, await stranger.json()]).toMatchObject([401, { error: 'Unauthorized' }]);
    const chat = await post(`${served.url}/v1/chat`, daemon, { message: 'x @@{"text":"Grüße 👋 ."}@@' });
    const answer = (await chat.json()) as { response: string; session_id: string };
    expect([chat.status, answer.response]).toEqual([200, 'Grüße 👋 .']);
    const session = await fetch(`${served.url}/v3/sessions/${answer.session_id}`, { headers: bearer(daemon) });
    expect(await session.json()).toMatchObject({ sessionId: answer.session_id });
    const head = await fetch(`${served.url}/v3/health`, { method: 'HEAD', headers: bearer(daemon) });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await fetch(`${served.url}/nowhere`)).status).toBe(404);
  });

  test('[SH7] a large body and a large answer pass whole, and a hundred at once', async () => {
    const text = `${'€'.repeat(999)} `.repeat(1_000);
    lmx.options.reply = () => ({ text });
    const chat = await post(`${served.url}/v1/chat`, daemon, { message: 'y'.repeat(3 << 20) });
    delete lmx.options.reply;
    expect(((await chat.json()) as { response: string }).response === text).toBe(true);
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const one = await post(`${served.url}/v1/chat`, daemon, { message: `x @@{"text":"n${i}."}@@` });
        return ((await one.json()) as { response: string }).response;
      }),
    );
    expect(answers).toEqual(answers.map((_, i) => `n${i}.`));
  }, 60_000);

  test('[SH7] sockets and event streams pass as they come', async () => {
    await daemon.post('/v3/sessions', { sessionId: 'passes' });
    const ws = new WebSocket(`ws://127.0.0.1:${served.port}/v3/ws?sessionId=passes`, { headers: bearer(daemon) });
    const frames: { event?: string; payload?: { turnId?: string } }[] = [];
    ws.on('message', (data) => frames.push(JSON.parse(String(data))));
    await new Promise((open, failed) => ws.once('open', open).once('error', failed));
    const control = new AbortController();
    const stream = await fetch(`${served.url}/v3/sse/events?sessionId=passes`, {
      headers: bearer(daemon),
      signal: control.signal,
    });
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    let streamed = '';
    const reading = (async () => {
      for await (const part of stream.body as unknown as AsyncIterable<Uint8Array>)
        streamed += Buffer.from(part).toString();
    })().catch(() => undefined);
    const turn = { clientId: 'c', writerId: 'w', content: 'x @@{"tokens":50,"tps":200}@@', mode: 'chat' };
    ws.send(JSON.stringify({ type: 'turn.submit', sessionId: 'passes', ...turn }));
    await until(() => frames.some((f) => f.event === 'turn.done'), 'the end on the socket');
    await until(() => streamed.includes('"turn.done"'), 'the end on the stream');
    const watching = async () =>
      ((await daemon.get('/v3/health')).body as { runtime: { subscriberCount: number } }).runtime;
    expect((await watching()).subscriberCount).toBe(2);
    ws.close(1000);
    const code = await new Promise((closed) => ws.once('close', closed));
    expect(code).toBe(1000);
    control.abort();
    await reading;
    // Who leaves here has left there.
    const end = Date.now() + 5_000;
    while ((await watching()).subscriberCount > 0 && Date.now() < end) await new Promise((r) => setTimeout(r, 20));
    expect((await watching()).subscriberCount).toBe(0);
    const refused = new WebSocket(`ws://127.0.0.1:${served.port}/v3/ws?sessionId=passes`);
    expect(await new Promise((closed) => refused.once('close', closed).once('error', closed))).toBe(4001);
  }, 30_000);

  test('[SH7] a client that leaves leaves at the daemon: its turn is cancelled', async () => {
    const watcher = await daemon.connect(path('left'));
    const control = new AbortController();
    const body = { message: 'x @@{"tokens":2000,"tps":20}@@', session_id: 'left' };
    const chat = post(`${served.url}/v1/chat`, daemon, body, { signal: control.signal }).catch(() => 'aborted');
    const token = await watcher.frame(isEvent('turn.token'), 'some text');
    control.abort();
    expect(await chat).toBe('aborted');
    const ended = await watcher.frame(isTerminal(token.payload?.turnId), 'the end');
    expect(ended.payload).toMatchObject({ outcome: 'cancelled' });
    await watcher.close();
  });

  test('[AC1] a page whose name was bound to this port gets nothing, over HTTP and as a socket', async () => {
    for (const upgrade of [{}, { connection: 'Upgrade', upgrade: 'websocket' }]) {
      const status = await new Promise((resolve, reject) => {
        const headers = { ...bearer(daemon), host: `evil.example:${served.port}`, ...upgrade };
        const req = request({ host: '127.0.0.1', port: served.port, path: '/v3/health', headers });
        req.on('response', (res) => resolve(res.resume().statusCode)).on('error', reject);
        req.end();
      });
      expect(status).toBe(403);
    }
  });

  /** What comes back on a connection of its own within a while, or until it is closed; nothing is read before all is written. */
  const raw = (text: string | Buffer, until: RegExp): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(served.port, '127.0.0.1');
      let said = '';
      const end = (): void => {
        clearTimeout(late);
        socket.destroy();
        resolve(said);
      };
      const late = setTimeout(end, 10_000);
      socket.on('data', (part) => {
        said += part;
        if (until.test(said)) end();
      });
      socket.on('error', end).on('close', end);
      socket.pause();
      socket.write(text, () => setTimeout(() => socket.resume(), 50));
    });
  const head = (line: string, ...fields: string[]): string =>
    [`${line} HTTP/1.1`, `host: 127.0.0.1:${served.port}`, `authorization: Bearer ${daemon.token}`, ...fields]
      .map((text) => `${text}\r\n`)
      .join('')
      .concat('\r\n');

  test('[SH7] a client that offers HTTP/2 with its request is answered as if it had not', async () => {
    const body = '{"message":"x @@{\\"text\\":\\"fine\\"}@@"}';
    const offer = ['connection: Upgrade, HTTP2-Settings', 'upgrade: h2c', 'http2-settings: AAEAAEAA'];
    const text = head('POST /v1/chat', ...offer, 'content-type: application/json', `content-length: ${body.length}`);
    expect(await raw(text + body, /"turn_id":"[^"]*"/)).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*"response":"fine"/);
  });

  test('[SH7] a refusal that comes in the middle of a body is read, and leaves nothing open at the daemon', async () => {
    const open = async (): Promise<number> => {
      const { limits } = (await daemon.get('/v3/metrics')).body as { limits: { name: string; value: number }[] };
      return limits.find(({ name }) => name === 'connections')?.value as number;
    };
    const before = await open();
    const large = Buffer.alloc(12 << 20, 'a');
    const sent = (token: string, bytes: number): Promise<string> => {
      const fields = ['content-type: application/json', `content-length: ${bytes}`];
      const text = head('POST /v1/chat', ...fields).replace(daemon.token, token);
      return raw(Buffer.concat([Buffer.from(text), large.subarray(0, bytes)]), /"retryable":\w+/);
    };
    expect(await sent(daemon.token, 12 << 20)).toMatch(/^HTTP\/1\.1 413 /);
    expect(await sent('x'.repeat(48), 9 << 20)).toMatch(/^HTTP\/1\.1 401 /);
    let after = await open();
    for (const end = Date.now() + 8_000; after > before && Date.now() < end; after = await open())
      await new Promise((r) => setTimeout(r, 50));
    expect(after).toBeLessThanOrEqual(before);
  }, 60_000);

  test('[AC1] what two readers could read in two ways is refused', async () => {
    for (const [fields, status] of [
      [['host: evil.example'], 403],
      [['transfer-encoding: gzip, chunked'], 400],
      [['transfer-encoding: chunked', 'content-length: 4'], 400],
      [['content-length: 4', 'content-length: 5'], 400],
    ] as const)
      expect(await raw(head('POST /v3/sessions', ...fields), /\r\n\r\n/), fields.join()).toMatch(
        new RegExp(`^HTTP/1\\.1 ${status} `),
      );
    // Its protocol makes no upgrade of it.
    const both = head('POST /v3/sessions', 'connection: upgrade', 'upgrade: websocket', 'transfer-encoding: x');
    expect(await raw(both, /\r\n\r\n/)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('[SH7] a daemon that was restarted is found again; while there is none the answer is 503', async () => {
    await daemon.end('SIGTERM');
    const none = await fetch(`${served.url}/health`);
    expect([none.status, await none.json()]).toMatchObject([503, { code: 'daemon-unreachable', retryable: true }]);
    const refused = new WebSocket(`ws://127.0.0.1:${served.port}/v3/ws?sessionId=x`);
    const answer = await new Promise<number | undefined>((resolve) => {
      refused.on('error', () => undefined);
      refused.on('unexpected-response', (_req, res) => resolve(res.statusCode));
    });
    expect(answer).toBe(503);
    await daemon.restart();
    const health = await fetch(`${served.url}/v3/health`, { headers: bearer(daemon) });
    expect(await health.json()).toMatchObject({ daemonId: daemon.daemonId });
  }, 40_000);

  test('[SH8] another model than the one of the daemon that runs is refused, not passed over', async () => {
    const run = await cli(daemon.home, ['server', '-p', '0', '-m', 'other-model']);
    expect([run.code, run.stdout]).toEqual([1, '']);
    expect(run.stderr).toContain('its model is fake-model');
    const same = await serve(daemon.home, ['-m', 'fake-model']);
    expect((await same.end('SIGTERM')).code).toBe(0);
  }, 60_000);

  test('[SH8] Ctrl-C ends it with 130, and the daemon goes on', async () => {
    const run = await served.end('SIGINT');
    expect([run.code, run.stderr]).toEqual([130, expect.stringContaining('The daemon goes on')]);
    expect((await daemon.get('/v3/health')).status).toBe(200);
    await expect(fetch(`${served.url}/health`)).rejects.toThrow();
  });
});

describe('without a daemon', () => {
  let home: string;
  let lmx: FakeLmx | undefined;
  afterEach(async () => {
    await cli(home, ['daemon', 'stop']);
    await lmx?.close();
    lmx = undefined;
    removeDir(home);
  });

  test('[SH8] it starts one, with the model that it was given', async () => {
    home = tempDir();
    lmx = await startFakeLmx({ models: ['given'] });
    const served = await serve(home, ['-m', 'given'], { OPTA_ENGINE: 'lmx', OPTA_PORT: String(lmx.port) });
    const token = readFileSync(join(home, 'daemon', 'token'), 'utf8');
    const chat = await post(`${served.url}/v1/chat`, { token }, { message: 'x @@{"text":"here"}@@' });
    expect(await chat.json()).toMatchObject({ response: 'here', model: 'given' });
    expect((await served.end('SIGINT')).code).toBe(130);
  }, 60_000);

  test('[SH8] without any model it is exit 3 and one line that says what to do', async () => {
    home = tempDir();
    lmx = await startFakeLmx();
    const run = await cli(home, ['server', '-p', '0'], { env: { OPTA_ENGINE: 'lmx', OPTA_PORT: String(lmx.port) } });
    expect([run.code, run.stdout]).toEqual([3, '']);
    expect(run.stderr).toMatch(/No model is configured.*opta server -m <model>/);
  }, 60_000);

  test('[SH8] a port in use is exit 1 and one line, and starts nothing; a wrong host or port is 2', async () => {
    home = tempDir();
    const other = createServer();
    await new Promise<void>((up) => other.listen(0, '127.0.0.1', up));
    const port = String((other.address() as { port: number }).port);
    const run = await cli(home, ['server', '-p', port]);
    other.close();
    expect([run.code, run.stdout]).toEqual([1, '']);
    expect(run.stderr.trim().split('\n')).toEqual([expect.stringContaining(`Port ${port} of 127.0.0.1 is in use`)]);
    expect((await cli(home, ['daemon', 'status', '--exit-code'])).code).toBe(1);
    for (const args of [
      ['--host', '0.0.0.0'],
      ['-p', 'x'],
    ])
      expect((await cli(home, ['server', ...args])).code, args.join(' ')).toBe(2);
  }, 60_000);
});

test('[SH7] the token in the banner can be pasted, whatever the folder is called', () => {
  expect(shellWord('/home/me/.config/opta/daemon/token')).toBe('/home/me/.config/opta/daemon/token');
  expect(shellWord("/home/o'b r/token")).toBe("'/home/o'\\''b r/token'");
});
