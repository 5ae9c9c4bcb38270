import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAlive } from '../../src/process-identity.ts';
import { cli, endOf, removeDir, startCli, tempDir, until } from '../support/cli.ts';
import { type LmxProcess, scriptFile, serveLmx } from '../support/lmx-process.ts';

let home: string;
let script: string;
const running: LmxProcess[] = [];
beforeEach(() => {
  home = tempDir();
  script = scriptFile(home, {
    models: [{ id: 'org/small-1b' }, { id: 'cold', cold: true }],
    answers: [{ when: 'slowly', repeat: 20, steps: [{ text: '{i} ', afterMs: 50 }] }, { steps: [{ text: 'ok' }] }],
  });
});
afterEach(async () => {
  for (const { pid, ended } of running.splice(0)) {
    if (isAlive({ pid, started: null })) process.kill(pid, 'SIGKILL');
    await ended;
  }
  removeDir(home);
});

const serve = async (args: string[], env: NodeJS.ProcessEnv = {}): Promise<LmxProcess> => {
  const lmx = await serveLmx(home, args, env);
  running.push(lmx);
  return lmx;
};
const scripted = (): Promise<LmxProcess> => serve(['--script', script]);
const records = (): string[] =>
  existsSync(join(home, 'lmx')) ? readdirSync(join(home, 'lmx')).filter((name) => name.endsWith('.json')) : [];
const status = async () => JSON.parse((await cli(home, ['lmx', 'status', '--json'])).stdout);

describe('opta lmx serve', () => {
  test('[LG15] says when it is ready, is found by status, and ends by stop', async () => {
    const lmx = await scripted();
    expect(lmx.models).toEqual(['org/small-1b']);
    expect((await fetch(`${lmx.url}/readyz`)).status).toBe(200);
    expect(await status()).toMatchObject({
      running: true,
      servers: [{ pid: lmx.pid, port: lmx.port, engine: 'scripted', responding: true, ready: true, inFlight: 0 }],
    });
    const text = await cli(home, ['lmx', 'status']);
    expect(text.stdout).toContain(`Inference server is running: ${lmx.url} (pid ${lmx.pid})`);
    expect(text.stdout).toContain('scripted engine, ready, org/small-1b, 0 requests running');
    expect(statSync(join(home, 'lmx')).mode & 0o777).toBe(0o700);
    expect(records().map((name) => statSync(join(home, 'lmx', name)).mode & 0o777)).toEqual([0o600]);

    const stopped = await cli(home, ['lmx', 'stop', '--json']);
    expect(JSON.parse(stopped.stdout)).toMatchObject({ running: false, stopped: true, how: 'stopped', pid: lmx.pid });
    expect(await lmx.ended).toMatchObject({ code: 0, stderr: '' });
    expect(records()).toEqual([]);
    expect(await status()).toEqual({ running: false, servers: [] });
    expect((await cli(home, ['lmx', 'status', '--exit-code'])).code).toBe(1);
  });

  test('[LG15] as text it is one line, and the demo engine says what it is', async () => {
    const child = startCli(home, ['lmx', 'serve', '--engine', 'demo', '--port', '0']);
    const ended = endOf(child);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    child.kill('SIGTERM');
    const end = await ended;
    expect(end).toMatchObject({ code: 0, stderr: '' });
    expect(end.stdout).toMatch(
      /^Inference server ready at \S+\/v1 with the demo engine, which holds no model \(pid \d+\)\n$/,
    );
  });

  test('[LG15] a second one on its port ends in one line, and harms nothing', async () => {
    const lmx = await scripted();
    const second = await cli(home, ['lmx', 'serve', '--engine', 'demo', '--port', String(lmx.port)]);
    expect([second.code, second.stdout]).toEqual([1, '']);
    expect(second.stderr).toBe(
      `✗ Port ${lmx.port} on 127.0.0.1 is taken by the inference server with pid ${lmx.pid}. To end it: opta lmx stop --port ${lmx.port}\n`,
    );
    const json = await cli(home, ['lmx', 'serve', '--engine', 'demo', '--port', String(lmx.port), '--json']);
    expect([json.code, json.stderr, JSON.parse(json.stdout).code]).toEqual([1, '', 'no-port']);
    expect(records()).toHaveLength(1);
    expect((await fetch(`${lmx.url}/readyz`)).status).toBe(200);
  });

  test('[LG15] of several, stop wants to know which', async () => {
    const [one, two] = [await scripted(), await serve(['--engine', 'demo'])];
    const which = await cli(home, ['lmx', 'stop']);
    expect(which.code).toBe(2);
    expect(which.stderr).toContain(String(one.port));
    expect(which.stderr).toContain(String(two.port));
    await cli(home, ['lmx', 'stop', '--port', String(two.port)]);
    expect((await two.ended).code).toBe(0);
    expect((await status()).servers).toMatchObject([{ pid: one.pid }]);
  });

  test.skipIf(process.platform !== 'linux')('[LG15] a record never leads to another process', async () => {
    const lmx = await scripted();
    process.kill(lmx.pid, 'SIGKILL');
    await lmx.ended;
    expect(records()).toHaveLength(1);
    // Its number went to somebody else: to this very test.
    const [name = ''] = records();
    const dead = JSON.parse(readFileSync(join(home, 'lmx', name), 'utf8'));
    const mine = join(home, 'lmx', `server-${process.pid}.json`);
    writeFileSync(mine, JSON.stringify({ ...dead, pid: process.pid, hostname: hostname() }), { mode: 0o600 });
    // And one that everybody may write.
    const open = join(home, 'lmx', 'server-1.json');
    writeFileSync(open, JSON.stringify({ ...dead, pid: process.ppid, processStarted: null }));
    chmodSync(open, 0o666);
    const stop = await cli(home, ['lmx', 'stop']);
    expect(stop).toMatchObject({ code: 0, stdout: 'Inference server is not running\n' });
    expect(existsSync(mine)).toBe(false);
    expect(isAlive({ pid: process.ppid, started: null })).toBe(true);
  });

  test('[LG15] a signal lets what runs end, and a new request is refused meanwhile', async () => {
    const lmx = await scripted();
    const body = { model: 'auto', stream: true, messages: [{ role: 'user', content: 'count slowly' }] };
    const answer = await fetch(`${lmx.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
    lmx.child.kill('SIGTERM');
    await until(() => records().length === 0, 'the record goes first');
    const late = await fetch(`${lmx.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
    expect([late.status, late.headers.get('retry-after') === null]).toEqual([503, false]);
    const text = await answer.text();
    expect(text).toContain('"content":"20 "');
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect((await lmx.ended).code).toBe(0);
  });

  test('[LG15] Ctrl+C reaches command and server both and is one signal; a later one ends it at once', async () => {
    const ask = (url: string) => {
      const body = { model: 'auto', stream: true, messages: [{ role: 'user', content: 'count slowly' }] };
      return fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
    };
    const one = await scripted();
    const answer = await ask(one.url);
    process.kill(one.pid, 'SIGINT');
    one.child.kill('SIGINT');
    expect(await answer.text()).toContain('data: [DONE]');
    expect((await one.ended).code).toBe(0);
    const two = await serve([
      '--script',
      scriptFile(home, {
        models: [{ id: 'm' }],
        answers: [{ when: 'Hello', steps: [{ text: 'ok' }] }, { steps: [{ text: 'a' }, { stall: true }] }],
      }),
    ]);
    void (await ask(two.url)).text().catch(() => undefined);
    two.child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(isAlive({ pid: two.pid, started: null })).toBe(true);
    two.child.kill('SIGINT');
    expect((await two.ended).code).toBe(130);
  });

  test('[LG16] keys come from variables, count, and stand nowhere', async () => {
    const env = { MY_KEY: 'inference-key-0123456789', MY_ADMIN: 'admin-key-0123456789' };
    const lmx = await serve(
      ['--script', script, '--api-key-env', 'MY_KEY', '--admin-key-env', 'MY_ADMIN', '--host', '0.0.0.0'],
      env,
    );
    const at = `http://127.0.0.1:${lmx.port}`;
    const as = async (path: string, headers: { [name: string]: string }) =>
      (await fetch(at + path, { headers })).status;
    expect(await as('/v1/models', {})).toBe(401);
    expect(await as('/v1/models', { authorization: `Bearer ${env.MY_KEY}` })).toBe(200);
    expect(await as('/admin/status', { 'x-api-key': env.MY_KEY })).toBe(403);
    expect(await as('/admin/status', { 'x-admin-key': env.MY_ADMIN })).toBe(200);
    // Discovery takes no key, and names a place that can be reached.
    const page = JSON.parse(await (await fetch(`${at}/.well-known/opta-lmx`)).text());
    expect(page.endpoints.preferred_base_url).toBe(at);
    const left = readdirSync(join(home, 'lmx')).map((name) => readFileSync(join(home, 'lmx', name), 'utf8'));
    const command = process.platform === 'linux' ? readFileSync(`/proc/${lmx.pid}/cmdline`, 'utf8') : '';
    for (const key of Object.values(env)) expect([...left, command].join('')).not.toContain(key);
  });

  test.each([
    ['no engine', [], 2, 'What is to answer?'],
    ['a script that is missing', ['--engine', 'scripted'], 2, '--script FILE'],
    ['a script that is none', ['--script', 'none.json'], 2, 'cannot be read (ENOENT)'],
    ['an address that is none', ['--url', 'ftp://x'], 2, '--url is the address of a server'],
    ['an empty key', ['--engine', 'demo', '--api-key-env', 'NO_SUCH_KEY'], 2, 'NO_SUCH_KEY'],
    ['an open address without keys', ['--engine', 'demo', '--host', '0.0.0.0'], 1, 'without keys'],
    ['an engine that nobody knows', ['--engine', 'magic'], 1, 'magic'],
  ])('[LG16] %s: one line, its exit code, nothing written', async (_name, args, code, says) => {
    const empty = join(home, 'empty');
    mkdirSync(empty);
    const end = await cli(empty, ['lmx', 'serve', '--port', '0', ...args]);
    expect([end.code, end.stdout]).toEqual([code, '']);
    expect(end.stderr).toContain(says);
    expect(end.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(readdirSync(empty)).toEqual([]);
  });

  test('[LG15] a model that is named and not there ends it, and no record stays', async () => {
    const end = await cli(home, ['lmx', 'serve', '--port', '0', '--script', script, '--model', 'nobody', '--json']);
    expect(end.code).toBe(127);
    expect(JSON.parse(end.stdout)).toMatchObject({ code: 'not-found', error: expect.stringContaining('nobody') });
    expect(records()).toEqual([]);
  });
});
