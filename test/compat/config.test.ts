import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openWorld, say, type World } from '../e2e/world.ts';
import { cli, removeDir, tempDir } from '../support/cli.ts';
import { here } from '../support/cli-here.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

/** What scripts do with the configuration, by the words of the older program. */
let home: string;
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

const run = (args: string[], env: NodeJS.ProcessEnv = {}) => here(home, args, env);
const stored = (): object => JSON.parse(readFileSync(join(home, 'config.json'), 'utf8'));

describe('keys', () => {
  test('[CF6] a kept key is set, read and listed like any other, and says on stderr that it has no effect', async () => {
    const set = await cli(home, ['config', 'set', 'journal.enabled', 'false']);
    expect(set).toMatchObject({ code: 0, stdout: 'journal.enabled: (not set) → false\n' });
    expect(set.stderr).toBe(
      'opta: journal.enabled: kept for scripts. Has no effect in this version: no files are written into your folders by themselves; opta sessions export.\n',
    );
    expect(await run(['config', 'get', 'journal.enabled'])).toMatchObject({ code: 0, stdout: 'false\n', stderr: '' });
    expect(await run(['config', 'get', 'safety.maxToolCalls'])).toMatchObject({ code: 0, stdout: '30\n' });
    const list = JSON.parse((await run(['config', 'list', '--json'])).stdout);
    expect(list).toMatchObject({
      journal: { enabled: false, timezone: 'local' },
      autonomy: { level: 2, enforceProfile: true },
      connection: { autoDiscover: true, fallbackHosts: [], retry: { maxRetries: 3, backoffMultiplier: 2 } },
      provider: { active: 'lmx', anthropic: { apiKey: '', model: 'claude-3-7-sonnet-latest' } },
    });
    const explained = JSON.parse((await run(['config', 'explain', 'journal.enabled', '--json'])).stdout);
    expect(explained).toMatchObject({ kept: true, value: false, default: true, project: 'never' });
    expect((await run(['config'])).stdout).toMatch(/^journal\.enabled +false {2}\(user\)$/m);
  });

  test('[CF6] types and ranges hold for kept keys, and a key that nobody knows is refused', async () => {
    await run(['config', 'set', 'safety.compactAt', '0.5']);
    for (const [key, value] of [
      ['safety.compactAt', '1.5'],
      ['safety.maxParallelTools', '17'],
      ['autonomy.mode', 'boss'],
      ['hooks', '[{"event":"never","command":"x"}]'],
    ] as const)
      expect(await run(['config', 'set', key, value]), key).toMatchObject({ code: 2, stdout: '' });
    expect(stored()).toEqual({ safety: { compactAt: 0.5 } });
    expect(await run(['config', 'set', 'git.autoComit', 'true'])).toMatchObject({ code: 127 });
  });

  test('[CF6] a key that the running daemon has read says when it counts; one that counts at once says nothing', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home);
    const said = async (key: string, value: string) => (await run(['config', 'set', key, value])).stderr;
    expect(await said('permissions.write_file', 'deny')).toMatch(/opta daemon restart/);
    expect(await said('daemon.permissionTimeoutMs', '9000')).toMatch(/opta daemon restart/);
    expect(await said('model.default', 'm')).toBe('');
    expect(await said('permissions.wirte_file', 'deny')).toMatch(/no tool here has this name/);
    await daemon.stop();
    expect(await run(['config', 'get', 'daemon.permissionTimeoutMs'])).toMatchObject({ stdout: '9000\n' });
    expect(stored()).toMatchObject({ permissions: { deadlineMs: 9000, write_file: 'deny' } });
  });

  test('[CF6] secrets are covered wherever they stand, and printed to whoever asks for one by name', async () => {
    const secret = 'TOPSECRET';
    const content = {
      connection: { adminKeysByHost: { 'a.test': secret }, apiKeySource: 'manual' },
      provider: { openai: { apiKey: secret } },
      mcp: { servers: { x: { command: 'c', env: { TOKEN: secret } } } },
      research: { providers: { tavily: { apiKey: secret } } },
    };
    writeFileSync(join(home, 'config.json'), JSON.stringify(content));
    const [text, json] = [await run(['config', 'list']), await run(['config', 'list', '--json'])];
    const all = text.stdout + json.stdout + (await run(['config', 'get', 'mcp'])).stdout;
    expect(all).not.toContain(secret);
    expect(JSON.parse(json.stdout)).toMatchObject({
      connection: { adminKeysByHost: { 'a.test': '(hidden)' }, apiKeySource: 'manual' },
      mcp: { servers: { x: { command: 'c', env: { TOKEN: '(hidden)' } } } },
    });
    expect(await run(['config', 'get', 'provider.openai.apiKey'])).toMatchObject({ code: 0, stdout: `${secret}\n` });
  });

  test('[CF6] defaultMode is what a run does when no flag says it', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home);
    const submitted = async (mode: string, ...flags: string[]): Promise<object> => {
      writeFileSync(join(home, 'config.json'), JSON.stringify({ defaultMode: mode }));
      expect(await run(['do', '-q', ...flags, 'x'])).toMatchObject({ code: 0 });
      const turn = daemon.asked.findLast((a) => a.path.endsWith('/turns'));
      if (!turn) throw new Error('no turn was submitted');
      const { mode: sent, overrides } = turn.body as { mode: string; overrides: object };
      return { mode: sent, overrides };
    };
    expect(await submitted('safe')).toEqual({ mode: 'do', overrides: {} });
    expect(await submitted('plan')).toEqual({ mode: 'plan', overrides: {} });
    expect(await submitted('auto')).toEqual({ mode: 'do', overrides: { auto: true } });
    expect(await submitted('dangerous')).toEqual({ mode: 'do', overrides: { dangerous: true } });
    expect(await submitted('dangerous', '--auto')).toEqual({ mode: 'do', overrides: { auto: true } });
    expect(await submitted('review', '--mode', 'chat')).toEqual({ mode: 'chat', overrides: {} });
    await daemon.stop();
  });
});

describe('opta env', () => {
  test('[CF7] save, list, show, use and delete, in the shapes that scripts read', async () => {
    writeFileSync(
      join(home, 'config.json'),
      '{"model":{"default":"m"},"connection":{"host":"old.test","adminKey":"OLDKEY"}}',
    );
    const clean = { OPTA_HOST: undefined };
    const save = await run(
      [
        'env',
        'save',
        'My Lab',
        '--host',
        'lab.test',
        '--port',
        '99',
        '--admin-key',
        'LABKEY',
        '--provider',
        'local',
        '--json',
      ],
      clean,
    );
    const profile = {
      name: 'my-lab',
      connection: { host: 'lab.test', port: 99, adminKey: '(hidden)' },
      modelDefault: 'm',
      provider: 'lmx',
      defaultMode: 'safe',
      updatedAt: expect.any(Number),
    };
    expect(JSON.parse(save.stdout)).toEqual({ saved: 'my-lab', profile });
    expect(
      await run(['env', 'set', 'plain', '--host', 'plain.test', '--admin-key', '', '--mode', 'plan'], clean),
    ).toMatchObject({
      code: 0,
    });
    const list = JSON.parse((await run(['env', 'ls', '--json'])).stdout);
    expect(list).toMatchObject({ current: 'my-lab', profiles: [{ name: 'plain' }, profile] });
    expect(JSON.parse((await run(['env', 'show', 'plain', '--json'])).stdout)).toMatchObject({
      current: 'my-lab',
      profile: { connection: { host: 'plain.test', port: 1234 }, defaultMode: 'plan' },
    });
    const use = await run(['env', 'use', 'my-lab', '--json'], clean);
    expect(JSON.parse(use.stdout)).toEqual({
      active: 'my-lab',
      applied: {
        'connection.host': 'lab.test',
        'connection.port': 99,
        'provider.active': 'lmx',
        defaultMode: 'safe',
        'model.default': 'm',
      },
    });
    expect(stored()).toMatchObject({ connection: { host: 'lab.test', port: 99, adminKey: 'LABKEY' } });
    // A key goes with its host: the next one does not get it, and it is not lost.
    await run(['env', 'switch', 'plain'], clean);
    expect(stored()).toMatchObject({
      connection: { host: 'plain.test', adminKeysByHost: { 'lab.test': 'LABKEY' } },
      defaultMode: 'plan',
    });
    expect(stored()).not.toHaveProperty('connection.adminKey');
    expect(JSON.parse((await run(['env', 'rm', 'plain', '--json'])).stdout)).toEqual({ deleted: 'plain' });
    expect(JSON.parse((await run(['env', '--json'])).stdout)).toMatchObject({
      current: null,
      profiles: [{ name: 'my-lab' }],
    });
  });

  test('[CF7] one exit code for each cause, as JSON too', async () => {
    for (const [code, ...args] of [
      [2, 'save'],
      [2, 'use', '  '],
      [127, 'use', 'none'],
      [127, 'show'],
      [127, 'delete', 'none'],
      [2, 'save', 'x', '--provider', 'nobody'],
      [2, 'save', 'x', '--admin-keys-by-host', 'not a map'],
      [2, 'save', 'x', '--mode', 'wild'],
      [2, 'save', 'x', '--port', 'http'],
      [2, 'frobnicate'],
    ] as const) {
      const failed = await run(['env', ...args, '--json']);
      expect({ args, code: failed.code, said: JSON.parse(failed.stdout) }).toMatchObject({
        code,
        said: { exit_code: code },
      });
    }
    expect((await cli(home, ['env', 'save', 'x', '--provider', 'nobody'])).stderr).toMatch(
      /Invalid provider.*lmx.*zen/s,
    );
    expect(existsSync(join(home, 'config.json'))).toBe(false);
    expect(await run(['env', 'help'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('opta env save <name>'),
    });
  });
});

describe('in the daemon', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({
      config: {
        permissions: { write_file: 'deny', deadlineMs: 400 },
        safety: { diskHeadroomMb: 32 },
        daemon: { workerPoolSize: 2, maxSessions: 500 },
        background: { maxConcurrent: 3, defaultTimeout: 9_000, maxBufferSize: 4_096 },
        connection: { inferenceTimeout: 50_000, retry: { maxRetries: 1, backoffMs: 300 } },
      },
    });
  }, 60_000);
  afterAll(() => world?.close());

  const operation = async (id: string, input: object = {}) => {
    const { status, json } = await world.daemon.post(`/v3/operations/${id}`, { input });
    return { status, ...(json as { result?: unknown; error?: unknown }) };
  };

  test('[CF6][PM5] permissions.<tool>: deny is final for whoever submits a turn', async () => {
    const sessionId = await world.daemon.create({ workspace: world.workspace });
    const socket = await world.daemon.socket(sessionId);
    const content = say({ tools: [{ name: 'write_file', args: { path: 'a.txt', content: 'x' } }], text: 'finished' });
    const { turnId } = await world.daemon.submit(sessionId, { content, mode: 'do', overrides: { dangerous: true } });
    await socket.terminal(turnId);
    expect(existsSync(join(world.workspace, 'a.txt'))).toBe(false);
    expect((await world.daemon.log(sessionId)).join('\n')).toContain('rule:user:write_file');
  });

  test('[CF6][SV3] bounds that a person sets are those that it runs with, and says', async () => {
    const { limits, settings } = (await world.daemon.get('/v3/metrics')).json as {
      limits: { limit?: string; max: number }[];
      settings: object;
    };
    const bound = (name: string) => limits.find((row) => row.limit === name)?.max;
    expect(settings).toMatchObject({
      firstDeltaDeadlineMs: 50_000,
      streamRetriesMax: 1,
      streamRetryBaseMs: 300,
      permissionDeadlineMs: 400,
      diskFreeBytesMin: 32 << 20,
      backgroundTimeoutMs: 9_000,
      backgroundOutputCharsMax: 4_096,
    });
    expect(['sessionsLiveMax', 'toolJobsMax', 'backgroundSessionMax'].map(bound)).toEqual([500, 2, 3]);
  });

  test('[CF6] config.* over the wire: values as text, secrets covered, and the same file as the command line', async () => {
    expect(await operation('config.get', { key: 'daemon.port' })).toMatchObject({
      status: 200,
      result: { key: 'daemon.port', value: expect.stringMatching(/^\d+$/) },
    });
    expect(await operation('config.set', { key: 'connection.apiKey', value: 'TOPSECRET' })).toMatchObject({
      result: { key: 'connection.apiKey', before: null, after: '(hidden)' },
    });
    expect((await operation('config.get', { key: 'connection.apiKey' })).result).toEqual({
      key: 'connection.apiKey',
      value: '(hidden)',
    });
    expect(JSON.stringify(await operation('config.list'))).not.toContain('TOPSECRET');
    expect((await cli(world.daemon.home, ['config', 'get', 'connection.apiKey'])).stdout).toBe('TOPSECRET\n');
    await operation('config.set', { key: 'connection.fallbackHosts', value: ['a', 'b'] });
    expect((await operation('config.get', { key: 'connection.fallbackHosts' })).result).toMatchObject({
      value: '["a","b"]',
    });
    expect(await operation('config.reset', { key: 'connection.apiKey' })).toMatchObject({
      result: { ok: true, scope: 'key', key: 'connection.apiKey' },
    });
    expect(await operation('config.get', { key: 'no.such' })).toMatchObject({
      status: 404,
      error: { code: 'not-found' },
    });
    expect(await operation('config.set', { key: 'daemon.port', value: 'x' })).toMatchObject({ status: 400 });
  });

  test('[CF7] env.* over the wire', async () => {
    const saved = await operation('env.save', { name: 'wire', host: 'wire.test', port: '81', adminKey: 'WIREKEY' });
    expect(saved.result).toMatchObject({ saved: 'wire', profile: { connection: { port: 81, adminKey: '(hidden)' } } });
    expect((await operation('env.list')).result).toMatchObject({ current: 'wire', profiles: [{ name: 'wire' }] });
    expect((await operation('env.use', { name: 'wire' })).result).toMatchObject({ active: 'wire' });
    expect((await operation('env.show')).result).toMatchObject({ profile: { name: 'wire' } });
    expect(await operation('env.save', { name: 'x', provider: 'nobody' })).toMatchObject({ status: 400 });
    expect((await operation('env.delete', { name: 'wire' })).result).toEqual({ deleted: 'wire' });
    expect(await operation('env.use', { name: 'wire' })).toMatchObject({ status: 404 });
  });
});
