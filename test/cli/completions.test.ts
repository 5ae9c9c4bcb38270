import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { completionScript } from '../../src/cli/completions/script.ts';
import { completedCommands } from '../../src/cli/completions/tree.ts';
import { createContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { SHELLS, type Shell } from '../../src/operations/operation.ts';
import { CLI_COMMAND, cli, cliEnv, removeDir, tempDir } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

const exec = promisify(execFile);
const has = (shell: string): boolean => spawnSync(shell, ['--version'], { stdio: 'ignore' }).status === 0;

let dir: string;
const file = (shell: string): string => join(dir, `opta.${shell}`);
beforeAll(() => {
  dir = tempDir();
  for (const shell of SHELLS) writeFileSync(file(shell), completionScript(shell));
});
afterAll(() => removeDir(dir));

/** What each shell itself offers for a line; the last word is the one under the cursor. */
const OFFERED: { [shell in Shell]: (words: string[], env?: NodeJS.ProcessEnv) => Promise<string[]> } = {
  bash: async (words, env) => {
    const line = words.map((word) => `'${word}'`).join(' ');
    const ask = `source ${file('bash')}; COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _opta; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return said('bash', ['--norc', '-c', ask], env);
  },
  zsh: async (words, env) => {
    const line = words.map((word) => `'${word}'`).join(' ');
    // The shell filters by what is typed; here the test does.
    const ask = `source ${file('zsh')}; words=(${line}); CURRENT=${words.length}; found=(); _opta_found; print -l -- $found`;
    const all = await said('zsh', ['-f', '-c', ask], env);
    return all.map((entry) => entry.replace(/:.*$/, '')).filter((word) => word.startsWith(words.at(-1) ?? ''));
  },
  fish: async (words, env) => {
    const ask = `source ${file('fish')}; complete -C '${words.join(' ')}'`;
    const all = await said('fish', ['--no-config', '-c', ask], env);
    return all.map((entry) => entry.replace(/\t.*$/, ''));
  },
};
const said = async (shell: Shell, args: string[], env?: NodeJS.ProcessEnv): Promise<string[]> => {
  const { stdout, stderr } = await exec(shell, args, { env: { ...process.env, ...env }, timeout: 30_000 });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
};

describe.each(SHELLS)('%s', { timeout: 120_000 }, (shell) => {
  const why = has(shell) ? '' : ` (skipped: there is no ${shell} here)`;
  const offered = async (line: string, env?: NodeJS.ProcessEnv): Promise<string[]> =>
    (await OFFERED[shell](line.split(' '), env)).sort();

  test.skipIf(why !== '')(
    `[OP6] completes commands, actions, flags and their values, and knows where it is${why}`,
    async () => {
      expect(await offered('opta daem')).toEqual(['daemon']);
      expect(await offered('opta daemon st')).toEqual(['start', 'status', 'stop']);
      expect(await offered('opta --debug daemon res')).toEqual(['restart']);
      expect(await offered('opta daemon start --eng')).toEqual(['--engine']);
      expect(await offered('opta daemon start --engine ')).toEqual(['demo', 'lmx']);
      // A value that looks like a command leads nowhere.
      expect(await offered('opta daemon start --model stop --js')).toEqual(['--json']);
      expect(await offered('opta do --format json')).toEqual(['json', 'jsonl']);
      expect(await offered('opta sessions exp')).toEqual(['export']);
      expect(await offered('opta config get model.d')).toEqual(['model.default']);
      expect(await offered('opta settings get model.d')).toEqual(['model.default']);
      expect(await offered('opta completions z')).toEqual(['zsh']);
      expect(await offered('opta models da')).toEqual(['dashboard']);
      expect(await offered('opta keychain set-g')).toEqual(expect.arrayContaining(['set-gemini', 'set-github']));
      expect(await offered('opta env save --mode pl')).toEqual(['plan']);
      expect(await offered('opta env save --provider prov')).toEqual([]);
      expect(await offered('opta daemon nonsense')).toEqual([]);
      // What is not part of this build is not offered.
      expect(await offered('opta acc')).toEqual([]);
    },
  );

  test.skipIf(why !== '')(`[OP6] offers the sessions of a running daemon, and starts none for it${why}`, async () => {
    const home = tempDir();
    const path = `${dir}${delimiter}${process.env.PATH}`;
    // The script calls whatever "opta" is on the path.
    const program = join(dir, 'opta');
    writeFileSync(program, `#!/bin/sh\nexec ${CLI_COMMAND.map((word) => `'${word}'`).join(' ')} "$@"\n`);
    chmodSync(program, 0o755);
    const env = cliEnv(home, { PATH: path });
    expect(await offered('opta sessions show ', env)).toEqual([]);
    expect(existsSync(join(home, 'daemon'))).toBe(false);
    const daemon = await new FakeDaemon().start();
    try {
      daemon.writeState(home);
      const http = `http://127.0.0.1:${daemon.port}/v3/sessions`;
      const made = await fetch(http, {
        method: 'POST',
        headers: { authorization: `Bearer ${daemon.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ sessionId: 'shown-to-shells' }),
      });
      expect(made.status).toBe(201);
      expect(await offered('opta sessions show ', env)).toEqual(['shown-to-shells']);
    } finally {
      await daemon.stop();
      removeDir(home);
    }
  });
});

test('[OP6] every command and flag that help lists is in every script, and nothing else decides what is there', () => {
  const program = buildProgram(createContext(), () => undefined);
  const walk = (command: Command, path: string[]): [path: string, command: Command][] => [
    [path.join(' '), command],
    ...command.commands.flatMap((below) => walk(below, [...path, below.name()])),
  ];
  const shown = completedCommands(program);
  expect(shown.length).toBeGreaterThan(15);
  const hidden = ['demo', 'complete-words'];
  for (const [path, command] of walk(program, [])) {
    if (hidden.includes(path) || command.description().startsWith('not part of this build')) continue;
    const found = shown.find((one) => one.path === path);
    expect(found, path).toBeDefined();
    const names = found?.options.flatMap((option) => option.names) ?? [];
    const flags = command.options.filter((option) => !option.hidden).map((option) => option.long);
    expect(names, path).toEqual(expect.arrayContaining(flags));
  }
  const scripts = SHELLS.map((shell) => readFileSync(file(shell), 'utf8'));
  for (const { path } of shown.slice(1)) for (const script of scripts) expect(script).toContain(path);
  for (const name of hidden) for (const script of scripts) expect(script).not.toMatch(new RegExp(`:${name}'`));
});

describe('opta completions', { timeout: 120_000 }, () => {
  test('[OP6] --install writes to where the shell looks, below HOME and nowhere else', async () => {
    const home = tempDir();
    for (const [shell, place] of [
      ['bash', '.bash_completion.d/opta'],
      ['zsh', '.zsh/completions/_opta'],
      ['fish', '.config/fish/completions/opta.fish'],
    ] as const) {
      const run = await cli(home, ['completions', shell, '--install'], { env: { HOME: home } });
      expect(run).toMatchObject({ code: 0, stdout: `Installed ${join(home, place)}\n` });
      expect(readFileSync(join(home, place), 'utf8')).toBe(readFileSync(file(shell), 'utf8'));
    }
    removeDir(home);
  });

  test('[OP6] the shell is that of $SHELL when none is named; one that is not supported is exit 2', async () => {
    const home = tempDir();
    const run = (args: string[], SHELL: string) => cli(home, ['completions', ...args], { env: { SHELL } });
    expect(await run([], '/usr/bin/zsh')).toMatchObject({ code: 0, stdout: readFileSync(file('zsh'), 'utf8') });
    expect(await run(['BASH'], '')).toMatchObject({ code: 0, stdout: readFileSync(file('bash'), 'utf8') });
    for (const [args, shell] of [
      [['tcsh'], '/bin/bash'],
      [[], '/bin/tcsh'],
      [[], ''],
    ] as const)
      expect(await run([...args], shell)).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^error: .*: bash, zsh, fish\n$/),
      });
    removeDir(home);
  });
});
