import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runDo } from '../../src/cli/commands/do.ts';
import { type Context, createContext } from '../../src/cli/context.ts';
import { findLocalServers, LOCAL_SERVERS, offerLine } from '../../src/cli/local-servers.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { type Check, nodeCheck } from '../../src/operations/doctor-checks.ts';
import { cli, removeDir, tempDir } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';

let home: string;
let lmx: FakeLmx;
beforeEach(async () => {
  home = tempDir();
  lmx = await startFakeLmx();
});
afterEach(async () => {
  await lmx.close();
  removeDir(home);
});

const doctor = async (env: NodeJS.ProcessEnv = {}, args: string[] = []) => {
  const run = await cli(home, ['doctor', '--json', ...args], { env: { OPTA_PORT: String(lmx.port), ...env } });
  const body = JSON.parse(run.stdout) as { version: string; checks: Check[]; summary: { [name: string]: number } };
  return { run, body, check: (name: string) => body.checks.find((c) => c.name === name) };
};

describe('opta doctor', { timeout: 120_000 }, () => {
  test('[AU1] the shape that scripts know, exit 0, and no file or daemon is made', async () => {
    const { run, body, check } = await doctor();
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(Object.keys(body)).toEqual(['version', 'checks', 'summary']);
    for (const c of body.checks) {
      expect(Object.keys(c).slice(0, 3)).toEqual(['name', 'status', 'message']);
      expect(c.message).not.toMatch(/\n/);
    }
    const named = ['Operating System', 'Node.js', 'LMX Connection', 'LMX Discovery', 'Config', 'Config Dirs', 'Daemon'];
    expect(body.checks.map((c) => c.name)).toEqual(
      expect.arrayContaining([...named, 'Disk Headroom', 'Trust', 'Host Policy']),
    );
    expect(body.summary).toEqual({
      passed: body.checks.filter((c) => c.status === 'pass').length,
      warnings: body.checks.filter((c) => c.status === 'warn').length,
      failures: 0,
    });
    expect(check('LMX Connection')?.message).toBe(`127.0.0.1:${lmx.port}: an Opta LMX; new sessions use fake-model`);
    expect(check('Transport')).toMatchObject({ status: 'pass' });
    expect(check('Daemon')?.message).toContain('not running');
    expect(readdirSync(home)).toEqual([]);
  });

  test('[IN1] what is wrong is named with what to type, and exit 1 is for those who ask for it', async () => {
    writeFileSync(join(home, 'config.json'), '{"connection":{"host":"192.0.2.1"},"model":{"default":"absent"}}');
    const guarded = await doctor({ OPTA_HOST: '' });
    expect(guarded.run.code).toBe(0);
    expect(guarded.check('LMX Connection')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('not on this machine'),
    });
    const missing = await doctor({}, ['--exit-code']);
    expect(missing.run.code).toBe(1);
    expect(missing.check('LMX Connection')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('"absent" is not loaded'),
      detail: expect.stringContaining('opta config set model.default'),
    });
    writeFileSync(join(home, 'config.json'), '{"engin":"demo"}');
    const broken = await doctor();
    expect(broken.check('Config')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('did you mean "engine"?'),
    });
  });

  test('[HP1] a client-only host: its role and why, a model file as a failure, and nothing looked for on loopback', async () => {
    const { check } = await doctor({ OPTA_HOST_NAME: 'opta48.local', OPTA_MODEL: '/m/x.gguf' });
    expect(check('Host Policy')).toMatchObject({ status: 'fail', message: expect.stringContaining('model.default') });
    expect(check('LMX Discovery')?.message).toContain('client-only');
    const free = await doctor({ OPTA_HOST_NAME: 'Mono512' });
    expect(free.check('Host Policy')?.message).toBe('Mono512 is inference (the built-in table)');
  });

  test('[LC3] a running daemon: its address, its carrier, and a version that is not ours', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home);
    daemon.version = '0.0.1';
    const { check } = await doctor();
    expect(check('Daemon')).toMatchObject({
      status: 'warn',
      message: expect.stringMatching(
        new RegExp(`127\\.0\\.0\\.1:${daemon.port}, pid ${process.pid}, version 0\\.0\\.1.*this is`),
      ),
      detail: 'opta daemon restart',
    });
    await daemon.stop();
  });

  test('[CF2] a project file that is not trusted is a warning; as text every check is one line', async () => {
    mkdirSync(join(home, '.opta'));
    writeFileSync(join(home, '.opta', 'config.json'), '{"permissions":{"rules":[{"tool":"x","action":"allow"}]}}');
    expect((await doctor()).check('Trust')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('opta config trust'),
    });
    const text = await cli(home, ['doctor', '--fix'], { env: { OPTA_PORT: String(lmx.port) } });
    expect(text.code).toBe(0);
    expect(text.stderr).toBe('opta: --fix changes nothing in this version: each line says what to type\n');
    expect(text.stdout).toMatch(/^✓ Operating System {2}/);
    expect(text.stdout).toMatch(/\n! Trust .*\n +→ .*opta config trust\n/);
    expect(text.stdout).toMatch(/\n\d+ passed, 1 warning, 0 failures\n$/);
  });

  test('the oldest Node that will do', () => {
    expect(nodeCheck('20.19.0').status).toBe('pass');
    expect(nodeCheck('24.1.0').status).toBe('pass');
    expect(nodeCheck('20.18.9').status).toBe('fail');
    expect(nodeCheck('18.20.0').status).toBe('fail');
  });
});

describe('inference servers on this machine', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });
  const other = async (answer: string | null): Promise<number> => {
    const server = createServer((_req, res) => {
      if (answer !== null) res.end(answer);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };
  const context = (
    ports: number[],
    env: { [name: string]: string } = {},
  ): { ctx: Context; out: string[]; err: string[] } => {
    const [out, err]: [string[], string[]] = [[], []];
    const base = createContext();
    const output = {
      ...base.output,
      out: (text: string) => void out.push(text),
      err: (text: string) => void err.push(text),
      json: (value: unknown) => void out.push(JSON.stringify(value)),
      pretty: (value: unknown) => void out.push(JSON.stringify(value)),
    };
    const all = { OPTA_HOME: home, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1', ...env };
    const localServers = ports.map((port, i) => ({ name: `server ${i}`, port }));
    return { ctx: { ...base, output, env: all, paths: optaPaths(all), cwd: home, localServers }, out, err };
  };

  test('are found by what they answer; silence, other pages and dead ports are none', async () => {
    const dead = await other('');
    servers.pop()?.close();
    const ports = [lmx.port, await other('<html>'), await other(null), await other('{"data":7}'), dead];
    const { ctx } = context(ports);
    expect(await findLocalServers(ctx)).toEqual([{ name: 'server 0', port: lmx.port, models: ['fake-model'] }]);
    expect(LOCAL_SERVERS.map((s) => s.port)).toEqual([11434, 1234, 8080, 8000]);
  });

  test('[HP1] none is asked on a client-only host, nor the one that is configured', async () => {
    expect(await findLocalServers(context([lmx.port], { OPTA_HOST_NAME: 'Opta48' }).ctx)).toEqual([]);
    expect(await findLocalServers(context([lmx.port], { OPTA_PORT: String(lmx.port) }).ctx)).toEqual([]);
    expect(lmx.paths).toEqual([]);
  });

  test('are offered when a turn found no inference, and never used', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home);
    daemon.script = (turn) => turn.error('lmx-connection-refused', 'error', 'Nothing answers');
    const options = { mode: 'do', commit: true, checkpoints: true };
    const { ctx, out, err } = context([lmx.port]);
    expect(await runDo(ctx, ['x'], { ...options, format: 'json' })).toBe(3);
    expect(JSON.parse(out.join(''))).toMatchObject({
      code: 'lmx-connection-refused',
      offers: [{ port: lmx.port, models: ['fake-model'] }],
    });
    expect(await runDo(ctx, ['x'], { ...options, format: 'text' })).toBe(3);
    expect(err.join('')).toContain(offerLine({ name: 'server 0', port: lmx.port, models: ['fake-model'] }));
    expect(lmx.requests).toEqual([]);
    daemon.script = (turn) => turn.error('internal', 'error', 'other');
    out.length = 0;
    await runDo(ctx, ['x'], { ...options, format: 'json' });
    expect(JSON.parse(out.join(''))).not.toHaveProperty('offers');
    await daemon.stop();
  });
});
