import { existsSync, symlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../scripts/lib/tiny-gguf.mjs';
import { findLlamaCpp } from '../../src/lmx/engines/llama-cpp-library.ts';
import { type CliResult, cli, removeDir, tempDir } from '../support/cli.ts';
import { type LmxProcess, scriptFile, serveLmx } from '../support/lmx-process.ts';

/** Both programs as they are installed: `opta do` and its daemon on one side, `opta lmx serve` on the other. */
let home: string;
let script: string;
const servers: LmxProcess[] = [];
const doors: Server[] = [];
beforeEach(() => {
  home = tempDir();
  script = scriptFile(home, {
    models: [{ id: 'org/small-1b', contextLength: 4_096 }, { id: 'org/other' }],
    answers: [
      { when: 'count', repeat: 5, steps: [{ text: '{i} ', afterMs: 10 }] },
      { when: 'die', steps: [{ text: 'half ' }, { crash: 'killed' }] },
      { steps: [{ reasoning: 'hm' }, { text: 'ok' }] },
    ],
  });
});
afterEach(async () => {
  await cli(home, ['daemon', 'stop']);
  for (const { child, ended } of servers.splice(0).reverse()) {
    child.kill('SIGTERM');
    await ended;
  }
  for (const door of doors.splice(0)) {
    door.closeAllConnections();
    door.close();
  }
  removeDir(home);
});

const serve = async (args: string[], env: NodeJS.ProcessEnv = {}): Promise<LmxProcess> => {
  const lmx = await serveLmx(home, args, env);
  servers.push(lmx);
  return lmx;
};
const doThere = (port: number, words: string, more: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
  cli(home, ['do', '--format', 'json', ...more, words], {
    env: { OPTA_PORT: String(port), OPTA_DAEMON_PORT: '0', ...env },
  });
const metrics = async (url: string): Promise<{ [name: string]: unknown }> =>
  JSON.parse(await (await fetch(`${url}/admin/metrics/json`)).text());

/** Passes everything on but WebSockets where it is told so, as a plain reverse proxy does; counts what is asked of it. */
const doorTo = async (to: number, sockets: boolean) => {
  const seen = { chats: 0, upgrades: 0 };
  const door = createServer((req, res) => {
    if (req.url === '/v1/chat/completions') seen.chats++;
    const onward = request({ ...at(to, req), method: req.method }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    onward.on('error', () => res.destroy());
    res.on('close', () => onward.destroy());
    req.pipe(onward);
  });
  door.on('upgrade', (req, socket) => {
    seen.upgrades++;
    if (!sockets) return void socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    const onward = request(at(to, req));
    onward.on('upgrade', (answer, far) => {
      const head = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${head.join('')}\r\n`);
      for (const [one, other] of [
        [far, socket],
        [socket, far],
      ] as const)
        one.on('error', () => undefined).on('close', () => other.destroy());
      far.pipe(socket).pipe(far);
    });
    onward.on('error', () => socket.destroy());
    onward.end();
  });
  doors.push(door);
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  return { port: (door.address() as AddressInfo).port, seen };
};
/** The server is told its own address, as a proxy on its machine does. */
const at = (port: number, { url, headers }: IncomingMessage) => ({
  host: '127.0.0.1',
  port,
  path: url,
  headers: { ...headers, host: `127.0.0.1:${port}` },
});

describe('opta do with opta lmx serve', () => {
  test('[LG1] gets the same answer over a socket and over an event stream', async () => {
    const lmx = await serve(['--script', script, '--model', 'org/small-1b']);
    const [open, plain] = [await doorTo(lmx.port, true), await doorTo(lmx.port, false)];
    const ask = (port: number) => doThere(port, 'please count', ['-m', 'org/small-1b']);
    const bySocket = await ask(open.port);
    expect(open.seen).toMatchObject({ chats: 0, upgrades: 1 });
    await cli(home, ['daemon', 'stop']);
    const byStream = await ask(plain.port);
    expect(plain.seen).toMatchObject({ chats: 1 });
    for (const run of [bySocket, byStream]) {
      expect(run.code).toBe(0);
      expect(JSON.parse(run.stdout)).toMatchObject({
        result: '1 2 3 4 5 ',
        model: 'org/small-1b',
        status: 'completed',
      });
    }
    expect(await metrics(lmx.url)).toMatchObject({ total_requests: 2, total_errors: 0 });
  });

  test('[LG13] tells of an engine that died in the middle, and the next task is answered', async () => {
    const lmx = await serve(['--script', script, '--model', 'org/small-1b']);
    const died = await doThere(lmx.port, 'die', ['-m', 'org/small-1b']);
    expect(died.code).not.toBe(0);
    expect(JSON.parse(died.stdout).code).toMatch(/^lmx-/);
    const next = await doThere(lmx.port, 'go on', ['-m', 'org/small-1b']);
    expect(JSON.parse(next.stdout)).toMatchObject({ exit_code: 0, result: 'ok' });
  });

  test('[LG7] needs the key where there is one', async () => {
    const lmx = await serve(['--script', script, '--api-key-env', 'MY_KEY'], { MY_KEY: 'key-0123456789' });
    const without = await doThere(lmx.port, 'go', ['-m', 'org/small-1b']);
    expect(JSON.parse(without.stdout)).toMatchObject({ code: 'lmx-unauthorized', exit_code: 3 });
    await cli(home, ['daemon', 'stop']);
    const withIt = await doThere(lmx.port, 'go', ['-m', 'org/small-1b'], { OPTA_API_KEY: 'key-0123456789' });
    expect(JSON.parse(withIt.stdout)).toMatchObject({ exit_code: 0, result: 'ok' });
  });

  test('[LG1] a server behind another one answers as the first does', async () => {
    const behind = await serve(['--script', script]);
    const front = await serve(['--url', `${behind.url}/v1`]);
    await expect.poll(async () => (await fetch(`${front.url}/readyz`)).status, { timeout: 10_000 }).toBe(200);
    const run = await doThere(front.port, 'please count', ['-m', 'org/small-1b']);
    expect(JSON.parse(run.stdout)).toMatchObject({ exit_code: 0, result: '1 2 3 4 5 ' });
    expect(await metrics(behind.url)).toMatchObject({ total_requests: 1 });
  });

  const FOLDER = fileURLToPath(new URL('../../.build/llama-cpp', import.meta.url));
  test.skipIf(findLlamaCpp([FOLDER]) === null)(
    '[LG15] a model file that is named is loaded, and answers (node scripts/llama-cpp.mjs install brings the library)',
    async () => {
      const file = join(home, 'tiny.gguf');
      writeTinyGguf(file);
      symlinkSync(FOLDER, join(home, 'llama-cpp'));
      const lmx = await serve(['--model', file, '--threads', '1', '--context-length', '2048']);
      expect(lmx.models).toEqual(['tiny']);
      const body = { model: 'auto', max_tokens: 8, messages: [{ role: 'user', content: 'hi' }] };
      const answer = await fetch(`${lmx.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
      expect(JSON.parse(await answer.text())).toMatchObject({
        model: 'tiny',
        choices: [{ finish_reason: 'length' }],
        usage: { completion_tokens: 8 },
      });
    },
    60_000,
  );

  test.skipIf(findLlamaCpp([FOLDER]) === null)(
    '[LG15] real inference from a model file through server, daemon and opta do (node scripts/llama-cpp.mjs install brings the library)',
    async () => {
      const file = join(home, 'tiny.gguf');
      writeTinyGguf(file);
      symlinkSync(FOLDER, join(home, 'llama-cpp'));
      const args = ['--threads', '1', '--context-length', '16384', '--max-tokens', '24'];
      const lmx = await serve(['--model', `tiny=${file}`, ...args]);
      const run = await cli(home, ['do', '--format', 'json', 'Name three trees'], {
        env: { OPTA_PORT: String(lmx.port), OPTA_DAEMON_PORT: '0' },
        deadlineMs: 100_000,
      });
      const body = JSON.parse(run.stdout);
      expect(body).toMatchObject({ model: 'tiny', status: 'completed', exit_code: 0 });
      expect(body.result.trim().length).toBeGreaterThan(20);
      const counted = await metrics(lmx.url);
      expect(counted.total_completion_tokens).toBeGreaterThanOrEqual(24);
    },
    120_000,
  );

  test('[LG10] opta models lists, loads, unloads and tells of the models of our own server', async () => {
    const lmx = await serve(['--script', script]);
    const models = async (...args: string[]) => {
      const run = await cli(home, ['models', ...args, '--json'], {
        env: { OPTA_PORT: String(lmx.port), OPTA_DAEMON_PORT: '0' },
      });
      return { code: run.code, body: JSON.parse(run.stdout) };
    };
    const loaded = async () =>
      ((await (await fetch(`${lmx.url}/v1/models`)).json()) as { data: { id: string }[] }).data.map((m) => m.id);
    expect(JSON.stringify((await models('list')).body)).toContain('org/small-1b');
    expect((await models('unload', 'org/other')).code).toBe(0);
    expect(await loaded()).toEqual(['org/small-1b']);
    expect((await models('load', 'org/other')).code).toBe(0);
    expect((await loaded()).sort()).toEqual(['org/other', 'org/small-1b']);
    expect((await models('info', 'org/small-1b')).body).toMatchObject({
      model: { id: 'org/small-1b', status: 'loaded', contextLength: 4_096 },
      performance: { backend_type: 'scripted', readiness: { state: 'routable' } },
    });
    expect((await models('use', 'org/small-1b')).code).toBe(0);
    expect((await models('health')).code).toBe(0);
    expect((await models('health', '--ready')).code).toBe(0);
    expect((await models('dashboard')).code).toBe(0);
    expect(await models('load', 'org/nowhere')).toMatchObject({ code: 127 });
  });

  test('[IC1] a daemon whose inference server goes away says since when, keeps its queue, and answers when it is back', async () => {
    const lmx = await serve(['--script', script, '--model', 'org/small-1b']);
    const first = await doThere(lmx.port, 'go', ['-m', 'org/small-1b']);
    expect(first.code).toBe(0);
    // The server itself, and not the command that waits for it.
    process.kill(lmx.pid, 'SIGKILL');
    await lmx.ended;
    const down = await doThere(lmx.port, 'go', ['-m', 'org/small-1b']);
    expect(down.code).toBe(3);
    expect(JSON.parse(down.stdout)).toMatchObject({ code: 'lmx-connection-refused' });
    const status = JSON.parse((await cli(home, ['status', '--json'], { env: { OPTA_PORT: String(lmx.port) } })).stdout);
    expect(JSON.stringify(status)).toMatch(/since|lastError|away/);
    await serve(['--script', script, '--model', 'org/small-1b', '--port', String(lmx.port)]);
    const back = await doThere(lmx.port, 'go', ['-m', 'org/small-1b']);
    expect(JSON.parse(back.stdout)).toMatchObject({ exit_code: 0, result: 'ok' });
  });

  test('[LG15] a model file without the library: exit 3 and the command that brings it', async () => {
    const file = join(home, 'tiny.gguf');
    writeTinyGguf(file);
    const end = await cli(home, ['lmx', 'serve', '--model', file, '--port', '0', '--json']);
    expect(end.code).toBe(3);
    expect(JSON.parse(end.stdout).error).toContain(`npm install --prefix ${join(home, 'llama-cpp')}`);
    expect(existsSync(join(home, 'lmx'))).toBe(false);
  });
});
