import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createContext } from '../../src/cli/context.ts';
import { EXIT } from '../../src/cli/exit.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { CLI_COMMAND, type CliResult, endOf, removeDir, tempDir } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { fakeAdmin } from '../support/fake-lmx-admin.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';
import { endDaemonOf, plainEnv } from './golden/runner.ts';
import { JSON_COMMANDS, type JsonCommand, KNOWN_SESSION } from './json-commands.ts';

/** What stdout promises under `--json`, for the whole tree of commands: JSON and nothing else, whoever reads it, however it ends. */
let lmx: FakeLmx;
let daemon: RealDaemon;
/** A home in which no daemon can ever start: a file stands where its folder has to be. */
let broken: string;
/** What commands may run beside themselves: git. Neither a clipboard nor the services of whoever runs the tests. */
let tools: string;
beforeAll(async () => {
  tools = tempDir();
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of ['git', 'head'])
      if (existsSync(join(dir, name)) && !existsSync(join(tools, name)))
        symlinkSync(join(dir, name), join(tools, name));
  }
  lmx = await startFakeLmx({ ...fakeAdmin().options });
  daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
  const messages = [{ role: 'user', content: 'hello' }];
  await daemon.post('/v3/sessions', { sessionId: KNOWN_SESSION, title: 'well known', messages });
  broken = tempDir();
  writeFileSync(join(broken, 'daemon'), '');
}, 60_000);
afterAll(async () => {
  await daemon?.stop();
  await lmx?.close();
  removeDir(broken);
  removeDir(tools);
});

/** The commands that somebody can run, by their words, each with the flags that make it print JSON. */
const jsonFlags = (command: Command): string[] | null => {
  if (command.options.some((o) => o.long === '--json')) return ['--json'];
  const format = command.options.find((o) => o.long === '--format');
  return format && /\bjson\b/.test(`${format.description} ${format.argChoices ?? ''}`) ? ['--format', 'json'] : null;
};
const tree = (command: Command, words: string[] = []): [name: string, flags: string[]][] =>
  command.commands.flatMap((sub) => {
    const name = [...words, sub.name()];
    const flags = jsonFlags(sub);
    return [...(flags === null ? [] : [[name.join(' '), flags] as [string, string[]]]), ...tree(sub, name)];
  });
const commands = new Map(tree(buildProgram(createContext(), () => undefined)));

test('[AU5] every command that prints JSON is run below, and every command below is one', () => {
  expect([...commands.keys()].filter((name) => !Object.hasOwn(JSON_COMMANDS, name))).toEqual([]);
  expect(Object.keys(JSON_COMMANDS).filter((name) => !commands.has(name))).toEqual([]);
});

/** How the command line meets the world; each command goes through all of them, one line after the other. */
const SITUATIONS = ['plain', 'slow pipe', 'no stdin', 'CI'] as const;
type Situation = (typeof SITUATIONS)[number];

const start = (home: string, args: readonly string[], situation: Situation, stdin: string): ChildProcess => {
  const cwd = join(home, 'here');
  mkdirSync(cwd, { recursive: true });
  const env = plainEnv(home, lmx.port, {
    PATH: tools,
    ...(situation === 'CI' ? { CI: 'true', TERM: 'xterm-256color' } : {}),
  });
  const words = [...CLI_COMMAND, ...args];
  if (situation === 'no stdin')
    return spawn('/bin/sh', ['-c', 'exec "$@" <&-', 'sh', ...words], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const child = spawn(words[0] as string, words.slice(1), { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin);
  return child;
};

const run = (home: string, args: readonly string[], situation: Situation, stdin = ''): Promise<CliResult> => {
  const child = start(home, args, situation, stdin);
  if (situation === 'slow pipe') {
    child.stdout?.on('data', () => {
      child.stdout?.pause();
      setTimeout(() => child.stdout?.resume(), 5);
    });
  }
  return endOf(child, 60_000);
};

/** One value, or a line each; a failure says so itself, with the exit code of the process. */
const expectJson = (run: CliResult, what: string, row: JsonCommand): void => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes are what is looked for
  expect(run.stdout + run.stderr, what).not.toMatch(/\u001b/);
  expect(run.stderr, what).not.toMatch(/^ +at .*[jt]s:\d+/m);
  expect(Object.values(EXIT), what).toContain(run.code);
  if (row.stdin !== undefined && run.code === 0 && run.stdout === '') return;
  expect(run.stdout.endsWith('\n'), `${what}: ${run.stdout}${run.stderr}`).toBe(true);
  const lines = row.jsonl ? run.stdout.trimEnd().split('\n') : [run.stdout];
  const values = lines.map((line) => JSON.parse(line) as { error?: unknown; exit_code?: unknown });
  if (run.code === 0) return;
  const last = values.at(-1) ?? {};
  // Commands that report, such as doctor, may end with 1 and have no error of their own.
  if (last.error === undefined) expect(run.code, what).toBe(EXIT.error);
  else
    expect({ error: typeof last.error, exit_code: last.exit_code }, what).toEqual({
      error: 'string',
      exit_code: run.code,
    });
};

describe('[AU5] under --json stdout parses, and nothing is coloured', () => {
  test.each(Object.entries(JSON_COMMANDS))(
    '%s: whatever it is asked',
    async (name, row) => {
      const flags = commands.get(name) ?? [];
      const home = row.alone ? tempDir() : daemon.home;
      try {
        for (const [i, line] of row.lines.entries()) {
          const situation = SITUATIONS[i % SITUATIONS.length] ?? 'plain';
          const args = [...name.split(' '), ...line, ...flags];
          expectJson(await run(home, args, situation, row.stdin), `${args.join(' ')} (${situation})`, row);
        }
      } finally {
        if (row.alone) {
          await endDaemonOf(home);
          removeDir(home);
        }
      }
    },
    240_000,
  );

  test.each(Object.entries(JSON_COMMANDS))(
    '%s: with a flag that it does not know, and where no daemon can start',
    async (name, row) => {
      const flags = commands.get(name) ?? [];
      const words = name.split(' ');
      const [line = []] = row.lines;
      const [bad, alone] = await Promise.all([
        run(broken, [...words, ...flags, '--no-such-flag', ...line], 'CI'),
        run(broken, [...words, ...line, ...flags], 'no stdin'),
      ]);
      expectJson(alone, `${name} without a daemon`, row);
      expectJson(bad, `${name} --no-such-flag`, row);
      if (row.anyFlag) return;
      expect(bad.code, name).toBe(EXIT.error);
      expect(JSON.parse(bad.stdout).error, name).toContain('--no-such-flag');
    },
    120_000,
  );

  test.each(Object.keys(JSON_COMMANDS))(
    '%s: to a reader that is gone, or was never there, it is no fault',
    async (name) => {
      const flags = commands.get(name) ?? [];
      const [line = []] = JSON_COMMANDS[name]?.lines ?? [];
      const args = [...name.split(' '), ...line, ...flags];
      const shell = (redirect: string): Promise<CliResult> =>
        endOf(
          spawn('/bin/sh', ['-c', `"$@" ${redirect}`, 'sh', ...CLI_COMMAND, ...args], {
            cwd: broken,
            env: plainEnv(broken, lmx.port, { PATH: tools }),
            stdio: ['ignore', 'pipe', 'pipe'],
          }),
          60_000,
        );
      for (const redirect of ['>&-', '| head -c 1 >/dev/null']) {
        const { stderr, stdout, code } = await shell(redirect);
        expect(stdout, name).toBe('');
        expect(stderr, `${name} ${redirect}`).not.toMatch(/EPIPE|EBADF|^ +at .*[jt]s:\d+/m);
        expect(Object.values(EXIT), `${name} ${redirect}`).toContain(code);
      }
    },
    120_000,
  );
});
