import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLI_COMMAND, cli, cliEnv, removeDir, tempDir, until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let home: string;
let work: string;
beforeEach(() => {
  home = tempDir();
  work = join(home, 'work');
  mkdirSync(join(work, '.opta'), { recursive: true });
});
afterEach(() => removeDir(home));

const config = (args: string[], env: NodeJS.ProcessEnv = {}) => cli(home, ['config', ...args], { cwd: work, env });
const project = (content: unknown): string => {
  const file = join(work, '.opta', 'config.json');
  writeFileSync(file, JSON.stringify(content));
  return file;
};
const ALLOW = { tool: 'write_file', action: 'allow' };

describe('opta config', () => {
  test('[AU1] list is the default, and as JSON the whole resolved configuration with its secrets covered', async () => {
    writeFileSync(join(home, 'config.json'), '{"connection":{"apiKey":"TOPSECRET"}}');
    const text = await config([]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(/^connection\.host +127\.0\.0\.1 {2}\(env\)\n/);
    expect(text.stdout).toMatch(/^connection\.apiKey +\(hidden\) {2}\(user\)$/m);
    const json = await config(['list', '--json']);
    expect(json.stdout).toMatch(/^\{\n {2}"connection"/);
    expect(JSON.parse(json.stdout)).toMatchObject({ connection: { apiKey: '(hidden)' }, engine: 'lmx' });
    expect(text.stdout + json.stdout).not.toContain('TOPSECRET');
    expect((await cli(home, ['settings', '--json'], { cwd: work })).stdout).toBe(json.stdout);
  });

  test('get prints the bare value, secrets too; a key that there is not is 127 with the list of keys', async () => {
    writeFileSync(join(home, 'config.json'), '{"connection":{"apiKey":"TOPSECRET"}}');
    expect(await config(['get', 'connection.apiKey'])).toMatchObject({ code: 0, stdout: 'TOPSECRET\n' });
    expect(await config(['get', 'daemon.port'])).toMatchObject({ code: 0, stdout: '9999\n' });
    expect(JSON.parse((await config(['get', 'daemon.port', '--json'])).stdout)).toEqual({
      key: 'daemon.port',
      value: 9999,
      source: 'default',
    });
    expect(JSON.parse((await config(['get', 'connection'])).stdout)).toMatchObject({ apiKey: '(hidden)' });
    const unknown = await config(['get', 'daemon.prot']);
    expect(unknown.code).toBe(127);
    expect(unknown.stdout.split('\n')).toContain('daemon.port');
    expect(unknown.stderr).toContain('Did you mean "daemon.port"?');
    const json = await config(['get', 'daemon.prot', '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ code: 'not-found', exit_code: 127, keys: expect.any(Array) });
  });

  test('set says what was and what is, and when something else has the last word; a bad value is exit 2', async () => {
    expect(await config(['set', 'model.default', 'a'])).toMatchObject({
      code: 0,
      stdout: 'model.default: (not set) → a\n',
    });
    const hidden = await config(['set', 'model.default', 'b'], { OPTA_MODEL: 'c' });
    expect(hidden.stdout).toBe('model.default: a → b (but OPTA_MODEL says c)\n');
    expect(JSON.parse((await config(['set', 'connection.apiKey', 'SECRET', '--json'])).stdout)).toEqual({
      key: 'connection.apiKey',
      before: null,
      after: '(hidden)',
      effective: '(hidden)',
    });
    const bad = await config(['set', 'daemon.port', 'x', '--json']);
    expect(bad.code).toBe(2);
    expect(JSON.parse(bad.stdout)).toMatchObject({ code: 'invalid-request', exit_code: 2 });
    expect(JSON.parse(readFileSync(join(home, 'config.json'), 'utf8'))).toEqual({
      model: { default: 'b' },
      connection: { apiKey: 'SECRET' },
    });
    expect(await config(['delete', 'model.default'])).toMatchObject({
      code: 0,
      stdout: 'model.default: b → (not set)\n',
    });
  });

  test('an unknown action, or a key or value that is missing, is exit 2', async () => {
    for (const args of [['frobnicate'], ['get'], ['set', 'daemon.port'], ['explain']]) {
      expect(await config(args)).toMatchObject({ code: 2, stdout: '' });
      const json = await config([...args, '--json']);
      expect(JSON.parse(json.stdout)).toMatchObject({ exit_code: 2 });
    }
  });

  test('[CF1] explain says the value, who decided it, and what else there could be', async () => {
    const file = project({ model: { default: 'theirs' } });
    const said = JSON.parse((await config(['explain', 'model.default', '--json'])).stdout);
    expect(said).toEqual({
      key: 'model.default',
      value: 'theirs',
      source: { kind: 'project', from: file },
      default: '',
      type: 'text',
      description: expect.stringContaining('Model of new sessions'),
      env: 'OPTA_MODEL',
      project: 'counts',
    });
    const text = await config(['explain', 'daemon.port'], { OPTA_DAEMON_PORT: '5' });
    expect(text.stdout).toMatch(/^daemon\.port = 5\n.*\n {2}from {5}env \(OPTA_DAEMON_PORT\)\n {2}default {2}9999\n/);
  });

  test('[CF3] trust, list, revoke', async () => {
    const file = project({ permissions: { rules: [ALLOW] } });
    const rules = async (): Promise<unknown> => JSON.parse((await config(['get', 'permissions.rules'])).stdout);
    expect(await rules()).toEqual([]);
    expect((await config(['trust'])).stdout).toContain('it may now set permissions.rules');
    expect(await rules()).toEqual([ALLOW]);
    expect(JSON.parse((await config(['trust', 'list', '--json'])).stdout).projects).toMatchObject([
      { file, trusted: true },
    ]);
    expect(await config(['trust', '--revoke'])).toMatchObject({ code: 0 });
    expect(await rules()).toEqual([]);
    expect(await config(['trust', '/'])).toMatchObject({ code: 127 });
    expect(JSON.parse((await config(['path', '--json'])).stdout)).toMatchObject({
      user: join(home, 'config.json'),
      project: file,
    });
  });
});

describe('a session in a project', () => {
  let daemon: FakeDaemon;
  beforeEach(async () => {
    daemon = await new FakeDaemon().start();
    daemon.writeState(home);
  });
  afterEach(() => daemon.stop());

  test("[CF1][CF2] opta do takes the project's model, says what it does not take over, and asks nobody", async () => {
    project({ model: { default: 'theirs' }, engine: 'demo', permissions: { rules: [ALLOW] } });
    const run = await cli(home, ['do', '-f', 'json', 'x'], { cwd: work });
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({ model: 'theirs' });
    expect(run.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(run.stderr).toMatch(
      /not taken over: permissions\.rules \(allow, ask\).*not trusted.*engine, which only your own/,
    );
    expect(existsSync(join(home, 'trust.json'))).toBe(false);
    await cli(home, ['do', '-q', '-m', 'flag', 'x'], { cwd: work });
    await cli(home, ['do', '-q', 'x'], { cwd: work, env: { OPTA_MODEL: 'env' } });
    expect(
      daemon.asked.filter((a) => a.path === '/v3/sessions').map((a) => (a.body as { model?: string }).model),
    ).toEqual(['theirs', 'flag', 'env']);
  });

  test('[CF2] a project file that cannot be understood ends opta do with exit 2, its name and its problem', async () => {
    const file = project({ permisions: {} });
    const run = await cli(home, ['do', '-f', 'json', 'x'], { cwd: work });
    expect(run.code).toBe(2);
    expect(JSON.parse(run.stdout).error).toBe(
      `Configuration ${file}: permisions: unknown key, did you mean "permissions"?`,
    );
    expect(daemon.sessions.size).toBe(0);
  });

  test.runIf(spawnSync('script', ['--version']).status === 0)(
    '[CF3] at a terminal it asks once for each content',
    async () => {
      const atTerminal = async (answer: string | null): Promise<string> => {
        const command = [...CLI_COMMAND, 'do', 'x'].map((word) => `'${word}'`).join(' ');
        const child = spawn('script', ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'], {
          cwd: work,
          env: cliEnv(home, { TERM: 'xterm', NO_COLOR: '1' }),
          stdio: ['pipe', 'pipe', 'pipe'],
        });
        let seen = '';
        child.stdout.on('data', (part) => {
          seen += part;
        });
        const ended = new Promise((resolve) => child.on('close', resolve));
        if (answer !== null) {
          await until(() => seen.includes('Trust this file'), 'the question');
          child.stdin.write(`${answer}\n`);
        }
        await ended;
        return seen;
      };
      const recorded = (): object => JSON.parse(readFileSync(join(home, 'trust.json'), 'utf8')).projects;
      const file = project({ permissions: { rules: [ALLOW] } });
      await atTerminal('n');
      expect(recorded()).toMatchObject({ [file]: { trusted: false } });
      expect(await atTerminal(null)).not.toContain('Trust this file');
      project({ permissions: { rules: [ALLOW, ALLOW] } });
      expect(await atTerminal('y')).toContain('It changed since you last decided');
      expect(recorded()).toMatchObject({ [file]: { trusted: true } });
      expect(await atTerminal(null)).not.toMatch(/Trust this file|not taken over/);
    },
  );
});
