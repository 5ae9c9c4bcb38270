import { type Command, CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { type Context, createContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { cli, removeDir, tempDir } from '../support/cli.ts';

const BASE = createContext();

/** The command tree in this process: a start of the program for each command would take minutes. */
const run = async (...args: string[]) => {
  const said = { out: '', err: '' };
  const out = (text: string): void => {
    said.out += text;
  };
  const output: Context['output'] = {
    ...BASE.output,
    out,
    err: (text) => {
      said.err += text;
    },
    json: (value) => out(`${JSON.stringify(value)}\n`),
    pretty: (value) => out(`${JSON.stringify(value, null, 2)}\n`),
  };
  let code: number | undefined;
  const program = buildProgram({ ...BASE, output }, (exit) => {
    code = exit;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause;
    code = cause.exitCode;
  }
  return { code, ...said };
};

const NOT_HERE = ['account', 'vault', 'apps', 'workspace', 'benchmark', 'ceo-bench', 'browser', 'update', 'memory'];

describe('commands that are not part of this build', () => {
  /** As old scripts call them. */
  const CALLS: { [command: string]: string[] } = {
    account: ['login', '--oauth', '--timeout', '30', '--return-to', 'x'],
    vault: ['push-rules', 'rules.md', '--force'],
    apps: ['install', 'a', 'b'],
    workspace: ['new', 'x', '--open'],
    benchmark: ['-o', 'dir', '--query', 'q', '--words', '650', '--serve'],
    'ceo-bench': ['--model', 'm', '--filter', 'f', '--autonomy-level', '5', '--device', 'h:1'],
    browser: ['host', 'start', '--range', '1-2', '--screen', 'peekaboo'],
    update: ['-c', 'cli', '-t', 'remote', '--remote-hosts', 'a,b', '--no-build', '--dry-run'],
    memory: ['--scope', 'all', '--policy', 'skip', '--dry-run'],
  };

  test.each(NOT_HERE)(
    '[OP10] %s takes its old flags and says in one line that it is not here, and what to do',
    async (name) => {
      const text = await run(name, ...(CALLS[name] ?? []));
      expect(text).toMatchObject({ code: 1, out: '' });
      expect(text.err).toMatch(new RegExp(`^\\S*✗\\S* opta ${name} is not part of this build\\. \\S.+\\n$`));
      const json = await run(name, ...(CALLS[name] ?? []), '--json');
      expect(json).toMatchObject({ code: 1, err: '' });
      expect(json.out).toMatch(/^[^\n]+\n$/);
      expect(JSON.parse(json.out)).toEqual({
        error: expect.stringContaining(`opta ${name} is not part of this build. `),
        exit_code: 1,
        code: 'not-in-this-build',
      });
      expect((await run(name)).code).toBe(1);
      expect((await run(name, ...(CALLS[name] ?? []).slice(0, 1), '--help')).code).toBe(0);
    },
  );

  test('[OP10] the same as a process', async () => {
    const home = tempDir();
    expect(await cli(home, ['update', '--components', 'cli', '--json'])).toMatchObject({ code: 1, stderr: '' });
    expect(await cli(home, ['apps'])).toMatchObject({ code: 1, stdout: '' });
    removeDir(home);
  });
});

test('[OP10] --help of every command works: text on stdout, exit 0', async () => {
  const walk = (command: Command, path: string[]): string[][] => [
    path,
    ...command.commands.flatMap((below) => walk(below, [...path, below.name()])),
  ];
  const paths = walk(
    buildProgram(createContext(), () => undefined),
    [],
  );
  const commands = paths.map((path) => path.join(' '));
  expect(commands).toEqual(
    expect.arrayContaining([...NOT_HERE, 'do', 'daemon install', 'init', 'diff', 'completions']),
  );
  for (const path of paths) {
    const said = await run(...path, '--help');
    expect({ path, ...said }).toMatchObject({ path, code: 0, err: '' });
    expect(said.out).toMatch(new RegExp(`^Usage: opta ?${path.join(' ')}`));
  }
});

test('[OP10] version is a bare version, and a check uses no network and says so', async () => {
  const bare = await run('version');
  expect(bare).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/), err: '' });
  expect(await run('version', '--check')).toMatchObject({
    code: 0,
    out: bare.out,
    err: expect.stringContaining('no update source'),
  });
  expect(JSON.parse((await run('version', '--check', '--json')).out)).toMatchObject({
    version: bare.out.trim(),
    latest: null,
  });
});
