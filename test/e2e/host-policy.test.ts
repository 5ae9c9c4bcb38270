import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CliResult, cli, removeDir, tempDir } from '../support/cli.ts';

/** The real command line on a machine that goes by the name of a client-only host. */
const TRACER = pathToFileURL(fileURLToPath(new URL('../support/trace-writes.mjs', import.meta.url))).href;

let root: string;
let started = false;
beforeEach(() => {
  root = tempDir();
  started = false;
  mkdirSync(join(root, 'home'));
  mkdirSync(join(root, 'work'));
});
afterEach(async () => {
  if (started) await run(['daemon', 'stop'], 'Mono512');
  removeDir(root);
});

const home = (): string => join(root, 'opta');
const run = (args: string[], host: string, env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
  cli(home(), args, {
    cwd: join(root, 'work'),
    env: {
      HOME: join(root, 'home'),
      XDG_CONFIG_HOME: undefined,
      OPTA_HOST_NAME: host,
      OPTA_DAEMON_PORT: '0',
      NODE_OPTIONS: `--import ${TRACER}`,
      TRACE_FILE: join(root, 'trace'),
      TRACE_ROOT: root,
      ...env,
    },
  });

const trace = (): string => (existsSync(join(root, 'trace')) ? readFileSync(join(root, 'trace'), 'utf8') : '');
const files = (): string[] => readdirSync(root, { recursive: true }).map(String).sort();

describe('[HP1] a client-only host', () => {
  test.each([
    ['lmx serve', ['lmx', 'serve', '--json'], {}],
    ['lmx serve of any engine', ['lmx', 'serve', '--engine', 'scripted', '--port', '0', '--json'], {}],
    ['a task with a model file', ['do', '--format', 'json', 'x'], { OPTA_MODEL: '/models/x.gguf' }],
    ['a daemon with a model file', ['daemon', 'start', '--json'], { OPTA_MODEL: '/models/x.gguf' }],
    ['a model file in the configuration', ['config', 'set', 'model.default', '/models/x.gguf', '--json'], {}],
  ])(
    '[HP1] %s: exit 77 with the policy, before a file, a folder, a socket or a process is made',
    async (_name, args, env) => {
      const refused = await run(args, 'Opta48.local', env);
      expect(refused.code).toBe(77);
      expect(JSON.parse(refused.stdout)).toMatchObject({
        code: 'host-policy',
        exit_code: 77,
        error: expect.stringMatching(/host policy.*Opta48 is client-only.*Allowed on: Mono512/),
      });
      expect(trace()).toBe('');
      expect(files()).toEqual(['home', 'work']);
    },
  );

  test('[HP1] as text it is one line on stderr', async () => {
    const refused = await run(['lmx', 'serve'], 'opta48');
    expect(refused).toMatchObject({ code: 77, stdout: '' });
    expect(refused.stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  test('[HP1] the demo engine holds no model and runs there', async () => {
    started = true;
    const run1 = await run(['daemon', 'start', '--engine', 'demo', '--json'], 'Opta48');
    expect(run1.code).toBe(0);
    const done = await run(['do', '--format', 'json', 'how many files are here?'], 'Opta48');
    expect(done.code).toBe(0);
    // What the tracer sees when there is something to see.
    expect(trace()).toMatch(/mkdirSync .*\nchmodSync .*spawn daemon\n.*connect \d+/s);
  });

  test('[HP1] elsewhere, lmx serve asks what is to answer, and writes nothing before it knows', async () => {
    const asks = await run(['lmx', 'serve', '--json'], 'Mono512');
    expect(asks.code).toBe(2);
    expect(JSON.parse(asks.stdout).error).toContain('What is to answer?');
    expect(files()).toEqual(['home', 'work']);
  });

  test('[HP1] the daemon itself refuses, however it is started', async () => {
    mkdirSync(home());
    writeFileSync(join(home(), 'config.json'), '{"model":{"default":"/models/x.gguf"}}');
    const refused = await run(['daemon', 'run'], 'Opta48');
    expect(refused.code).toBe(77);
    expect(refused.stderr).toMatch(/client-only.*\[host-policy\]/);
    expect(existsSync(join(home(), 'daemon'))).toBe(false);
  });
});
