import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { ToolResult } from '../../src/actors/ports.ts';
import { realClock } from '../../src/platform.ts';
import { identityOf } from '../../src/process-identity.ts';
import { createProcesses } from '../../src/tools/background.ts';
import { commandEnvironment } from '../../src/tools/process-launch.ts';
import { createTools, type ToolRunner } from '../../src/tools/runner.ts';
import { bubblewrapArgs } from '../../src/tools/sandbox/bubblewrap.ts';
import { confinementOf } from '../../src/tools/sandbox/confinement.ts';
import { findSandbox, noSandbox, type Sandbox } from '../../src/tools/sandbox/sandbox.ts';
import { seatbeltProfile } from '../../src/tools/sandbox/seatbelt.ts';
import { hasSandbox, noSandboxHere } from './sandbox.support.ts';

/** Commands as the daemon runs them: real processes, and the real sandbox where there is one. */
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

let top: string;
let home: string;
let workspace: string;
let open: ToolRunner[] = [];

beforeEach(() => {
  top = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'opta-command-')));
  home = join(top, 'home');
  workspace = join(home, 'project');
  fs.mkdirSync(workspace, { recursive: true });
  fs.mkdirSync(join(home, '.ssh'));
  fs.writeFileSync(join(home, '.ssh', 'id'), 'CANARY-SECRET');
  fs.writeFileSync(join(top, 'outside.txt'), 'CANARY-OUTSIDE');
});
afterEach(async () => {
  await Promise.all(open.map((tools) => tools.close()));
  open = [];
  fs.rmSync(top, { recursive: true, force: true });
});

const [isHeld, absent] = [hasSandbox, noSandboxHere];

const sandboxHere = (more: { own?: string[]; readable?: string[]; writable?: string[] } = {}): Sandbox =>
  findSandbox({ mode: 'auto', home, own: [join(home, '.config', 'opta')], readable: [], writable: [], ...more });

const toolsWith = (sandbox: Sandbox): ToolRunner => {
  const processes = createProcesses({ clock: realClock, log: quiet, identityOf, sandbox });
  const tools = createTools({
    clock: realClock,
    log: quiet,
    commands: processes,
    outputsDir: join(top, 'outputs'),
  });
  open.push(tools);
  return tools;
};

const begin = (tools: ToolRunner, command: string, more: object = {}, sessionId = 's') => {
  const plan = tools.plan('run_command', JSON.stringify({ command, ...more }), { mode: 'do', workspace });
  if (typeof plan === 'string') throw new Error(plan);
  const { args, confined } = plan;
  const run = { sessionId, turnId: 't', callId: 'c', name: 'run_command', args, workspace, deniedPaths: [] };
  let handle: ReturnType<ToolRunner['start']> | undefined;
  const done = new Promise<ToolResult>((resolve) => {
    handle = tools.start({ ...run, deadlineMs: 60_000, ...(confined === undefined ? {} : { confined }) }, resolve);
  });
  return { done, kill: () => new Promise<void>((resolve) => handle?.kill(resolve)), confined };
};
const run = (command: string, more: object = {}, tools = toolsWith(isHeld ? sandboxHere() : noSandbox('none'))) =>
  begin(tools, command, more).done;

const alive = (mark: string): number[] =>
  fs
    .readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mark);
      } catch {
        return false;
      }
    })
    .map(Number);

describe('the result of a command', () => {
  test('[TL6] what it wrote, and how it ended', async () => {
    expect(await run('echo out; echo err >&2; exit 3')).toMatchObject({
      result: expect.stringMatching(/^out\nerr\n\[exit code 3; \d+\.\d s\]$/),
      isError: true,
    });
    expect(await run('printf é')).toMatchObject({
      result: expect.stringMatching(/^é\n\[exit code 0;/),
      isError: false,
    });
    expect((await run('kill -9 $$')).result).toMatch(/\[(?:ended by SIGKILL|exit code 137);/);
    expect((await run('cat; echo over')).result).toMatch(/^over\n/);
    expect((await run('no-such-program-here')).isError).toBe(true);
  });

  test('[TL6] of 30 MB the beginning and the end are shown and the rest is counted; all that is kept can be read in parts', async () => {
    const tools = toolsWith(isHeld ? sandboxHere() : noSandbox('none'));
    const { result, truncatedFrom } = await run('seq 1 4000000', {}, tools);
    expect(Buffer.byteLength(result)).toBeLessThan(LIMITS.commandShownBytesMax + 1_024);
    expect(truncatedFrom).toBe(30_888_896);
    expect(result).toMatch(/^1\n2\n3\n/);
    expect(result).toContain('of 30888896 bytes are left out here');
    expect(result).toMatch(/\n3999999\n4000000\n\[exit code 0;/);
    const ref = /path "(output:[0-9a-f]{12})"/.exec(result)?.[1] ?? '';
    const read = (sessionId: string, path: string) =>
      new Promise<ToolResult>((resolve) =>
        tools.start(
          {
            sessionId,
            turnId: 't',
            callId: 'r',
            name: 'read_file',
            args: { path, offset: 1_000_000, limit: 2 },
            workspace,
            deniedPaths: [],
            deadlineMs: 20_000,
          },
          resolve,
        ),
      );
    expect((await read('s', ref)).result).toMatch(/^1000000\t1000000\n1000001\t1000001\n/);
    expect(await read('other', ref)).toMatchObject({ isError: true });
    expect(await read('s', 'output:000000000000')).toMatchObject({ isError: true });
    const [folder = ''] = fs.readdirSync(join(top, 'outputs'));
    const file = join(top, 'outputs', folder, ref.slice(7));
    expect(fs.statSync(file).size).toBeLessThanOrEqual(LIMITS.commandOutputBytesMax);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  });

  test('[TL6] [SV3] output without an end, without a line and without meaning fills no memory', async () => {
    const before = process.memoryUsage().rss;
    const result = await run('head -c 1000 /dev/urandom; yes | tr -d "\\n"', { timeout: 1_500 });
    expect(result.isError).toBe(true);
    expect(Buffer.byteLength(result.result)).toBeLessThan(4 * LIMITS.commandShownBytesMax);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 << 20);
  });
});

describe('the end of a command', () => {
  test('[CX4] a time-out asks it to end, and what does not is killed, with everything that it started', async () => {
    const mark = `31${process.pid}7`;
    const asked = await run('trap "echo asked; exit 7" TERM; while :; do sleep 0.05; done', { timeout: 300 });
    expect(asked).toMatchObject({ result: expect.stringMatching(/asked\n\[ended after 300 ms/), isError: true });
    const deaf = await run(`trap "" TERM; (setsid sleep ${mark} &); while :; do sleep 0.05; done`, { timeout: 300 });
    expect(deaf.result).toContain('[ended after 300 ms');
    expect(alive(mark)).toEqual([]);
  });

  test('[CX4] a cancel is over when nothing of it is alive, in the middle of its output too', async () => {
    const mark = `32${process.pid}7`;
    const tools = toolsWith(isHeld ? sandboxHere() : noSandbox('none'));
    const { kill } = begin(tools, `(setsid sleep ${mark} >/dev/null 2>&1 &); yes`);
    while (alive(mark).length === 0) await sleep(20);
    await kill();
    expect(alive(mark)).toEqual([]);
    expect(tools.commandsRunning).toBe(0);
  });

  test('[CX4] what it left in the background ends with it', async () => {
    const mark = `33${process.pid}7`;
    const result = await run(`(setsid nohup sleep ${mark} >/dev/null 2>&1 &); (sleep ${mark} &) ; echo started`);
    expect(result.result).toMatch(/^started\n/);
    expect(alive(mark)).toEqual([]);
  });

  test('[SV3] more commands than there is room for wait, and a cancelled one that waits never begins', async () => {
    const tools = toolsWith(noSandbox('none'));
    const first = Array.from({ length: LIMITS.commandsMax }, () => begin(tools, 'sleep 0.5'));
    const late = begin(tools, `echo ran > ${join(workspace, 'late')}`);
    const gone = begin(tools, `echo ran > ${join(workspace, 'gone')}`);
    await gone.kill();
    await Promise.all(first.map(({ done }) => done));
    await late.done;
    expect(fs.readdirSync(workspace)).toEqual(['late']);
  });
});

describe(`in the sandbox${absent}`, () => {
  const held = test.skipIf(!isHeld);

  held(`[TL5] it writes in the workspace and in a /tmp of its own, and nowhere else${absent}`, async () => {
    const { confined } = begin(toolsWith(sandboxHere()), 'true');
    expect(confined).toBe(true);
    const script = [
      'echo in > here.txt',
      `for f in ${top}/outside.txt ${home}/x /etc/x /usr/x /var/x "$HOME/x" ../x; do (echo changed > "$f") 2>/dev/null; done`,
      `ln -s ${top}/outside.txt link; echo changed > link`,
      `rm -rf ${top}/outside.txt`,
      'echo private > /tmp/private',
      `mkdir -p a && ln -s ${top} a/up && echo changed > a/up/new.txt`,
    ].join('\n');
    await run(script);
    expect(fs.readFileSync(join(workspace, 'here.txt'), 'utf8')).toBe('in\n');
    expect(fs.readFileSync(join(top, 'outside.txt'), 'utf8')).toBe('CANARY-OUTSIDE');
    expect(fs.readdirSync(top).sort()).toEqual(['home', 'outside.txt']);
    expect(fs.readdirSync(home).sort()).toEqual(['.ssh', 'project']);
    expect(fs.existsSync('/tmp/private')).toBe(false);
  });

  held(
    `[TL5] secrets in home folders, this program's own folders and other processes cannot be read${absent}`,
    async () => {
      const own = join(home, '.config', 'opta');
      fs.mkdirSync(own, { recursive: true });
      fs.writeFileSync(join(own, 'token'), 'CANARY-TOKEN');
      process.env.OPTA_TEST_TOKEN = 'CANARY-ENV';
      try {
        const script = `cat ${home}/.ssh/id ${own}/token /etc/shadow /proc/*/environ; env; grep -r CANARY ${home} /tmp /root /home /run 2>/dev/null; ls -la ${home}`;
        const { result } = await run(script);
        expect(result).not.toMatch(/CANARY/);
        expect(result).toContain(`${home}/.ssh/id: No such file`);
      } finally {
        delete process.env.OPTA_TEST_TOKEN;
      }
    },
  );

  held(
    `[TL5] there is no network, and a listener on this machine is not reached, unless it was asked for${absent}`,
    async () => {
      const server = createServer((socket) => socket.end('REACHED')).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as { port: number };
      const script = `exec 3<>/dev/tcp/127.0.0.1/${port} && cat <&3`;
      try {
        expect((await run(script)).result).not.toContain('REACHED');
        const tools = toolsWith(sandboxHere());
        const asked = begin(tools, script, { network: true });
        expect(asked.confined).toBe(false);
        expect((await asked.done).result).toContain('REACHED');
        await begin(tools, `echo changed > ${top}/outside.txt`, { network: true }).done;
        expect(fs.readFileSync(join(top, 'outside.txt'), 'utf8')).toBe('CANARY-OUTSIDE');
      } finally {
        server.close();
      }
    },
  );

  held(`[TL5] nothing is planted that git or this program would run later${absent}`, async () => {
    expect(spawnSync('git', ['init', '-q', workspace]).status).toBe(0);
    fs.mkdirSync(join(workspace, '.opta'));
    const config = fs.readFileSync(join(workspace, '.git', 'config'), 'utf8');
    const script = [
      'echo "#!/bin/sh" > .git/hooks/pre-commit',
      'git config core.fsmonitor ./evil',
      'echo x >> .git/config',
      'mv .git elsewhere; mv .git/hooks h; rm -rf .git/hooks',
      'echo "{}" > .opta/config.json; mv .opta gone',
      'echo work > file.txt; git -c user.name=a -c user.email=a@b add file.txt && git -c user.name=a -c user.email=a@b commit -qm ok && echo committed',
    ].join('\n');
    expect((await run(script)).result).toContain('committed');
    expect(fs.existsSync(join(workspace, '.git', 'hooks', 'pre-commit'))).toBe(false);
    expect(fs.readFileSync(join(workspace, '.git', 'config'), 'utf8')).toBe(config);
    expect(fs.readdirSync(join(workspace, '.opta'))).toEqual([]);
  });

  held(
    `[TL5] whatever paths and links a program makes, no file outside is touched${absent}`,
    async () => {
      const tools = toolsWith(sandboxHere());
      const name = fc.constantFrom('a', 'b', 'c', '..', '.', 'x y', 'é', '-f');
      const path = fc.oneof(
        fc.array(name, { minLength: 1, maxLength: 5 }).map((names) => names.join('/')),
        fc.constantFrom(
          `${top}/outside.txt`,
          `${top}`,
          `${home}/.ssh/id`,
          '/proc/self/root/tmp',
          '/proc/1/root',
          '/dev/fd/1',
        ),
      );
      const q = (s: string) => `'${s}'`;
      const step = fc.oneof(
        path.map((p) => `echo changed > ${q(p)}`),
        fc.tuple(path, path).map(([a, b]) => `ln -sfn -- ${q(a)} ${q(b)}`),
        fc.tuple(path, path).map(([a, b]) => `ln -f -- ${q(a)} ${q(b)}`),
        fc.tuple(path, path).map(([a, b]) => `mv -f -- ${q(a)} ${q(b)}`),
        path.map((p) => `mkdir -p -- ${q(p)} && cd -- ${q(p)}`),
        path.map((p) => `rm -rf -- ${q(p)}`),
        path.map((p) => `cat -- ${q(p)}`),
        path.map((p) => `chmod 777 -- ${q(p)}; touch -- ${q(p)}/t`),
      );
      const canary = (): string =>
        [join(top, 'outside.txt'), join(home, '.ssh', 'id'), join(home, '.ssh')]
          .map((p) => {
            const { ino, size, mtimeMs, mode } = fs.statSync(p);
            return [p, ino, size, mtimeMs, mode].join();
          })
          .concat(fs.readdirSync(top).sort(), fs.readdirSync(home).sort())
          .join('\n');
      const before = canary();
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
          const { result } = await begin(tools, steps.join('\n'), { timeout: 5_000 }).done;
          expect(result).not.toContain('CANARY');
          expect(canary()).toBe(before);
        }),
        { numRuns: 40 },
      );
    },
    60_000,
  );

  held(`[TL5] [BG3] it ends when the daemon is killed${absent}`, async () => {
    const mark = `34${process.pid}7`;
    const script = join(import.meta.dirname, 'command.fixture.ts');
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', script, workspace, `(setsid sleep ${mark} &); sleep ${mark}`],
      {
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    );
    const gone = new Promise((resolve) => child.once('exit', resolve));
    while (alive(mark).length < 2) await sleep(20);
    child.kill('SIGKILL');
    await gone;
    const until = Date.now() + 5_000;
    while (alive(mark).length > 0 && Date.now() < until) await sleep(20);
    expect(alive(mark)).toEqual([]);
  });
});

describe('what is said of the sandbox', () => {
  test('[TL5] it is off by itself only; what was allowed for it runs nowhere else', async () => {
    const off = findSandbox({ mode: 'off', home, own: [], readable: [], writable: [] });
    expect(off).toMatchObject({ kind: 'none', why: 'sandbox.mode is off' });
    expect(findSandbox({ mode: 'auto', home, own: [], readable: [], writable: [] }, 'win32').kind).toBe('none');
    expect(findSandbox({ mode: 'auto', home, own: [], readable: [], writable: [] }, 'linux', '/nowhere').why).toContain(
      'not installed',
    );
    const tools = toolsWith(off);
    const plan = tools.plan('run_command', '{"command":"true"}', { mode: 'do', workspace });
    expect(plan).toMatchObject({ confined: false, summary: 'Run true (unconfined)' });
    const lie = { sessionId: 's', turnId: 't', callId: 'c', name: 'run_command', args: { command: 'echo ran > lie' } };
    const result = await new Promise<ToolResult>((resolve) =>
      tools.start({ ...lie, workspace, deniedPaths: [], deadlineMs: 9_000, confined: true }, resolve),
    );
    expect(result).toMatchObject({ isError: true });
    expect(fs.readdirSync(workspace)).toEqual([]);
  });

  test('[TL5] a workspace that holds what must be hidden cannot be confined', () => {
    const at = (path: string) =>
      confinementOf({ workspace: path, cwd: path, network: false }, { home, own: [], readable: [], writable: [] });
    expect(at(home)).toBeNull();
    expect(at('/')).toBeNull();
    expect(at(top)).toBeNull();
    expect(at(join(top, 'gone'))).toBeNull();
    expect(at(workspace)).toMatchObject({ workspace });
  });

  test('[TL5] the arguments and the macOS profile, as text (the profile was never run on a Mac)', () => {
    const c = confinementOf(
      { workspace, cwd: workspace, network: false },
      { home, own: [], readable: [], writable: [join(top, 'outside.txt')] },
    );
    if (c === null) throw new Error('not confined');
    const args = bubblewrapArgs(c);
    expect(args).toContain('--unshare-net');
    expect(args.indexOf('--tmpfs')).toBeLessThan(args.lastIndexOf('--bind'));
    expect(bubblewrapArgs({ ...c, network: true })).not.toContain('--unshare-net');
    const profile = seatbeltProfile(c).split('\n');
    expect(profile[2]).toBe('(deny file-write*)');
    expect(profile).toContain(`(allow file-read* file-write* (subpath "${workspace}"))`);
    expect(profile.at(-1)).toBe('(deny network*)');
    expect(seatbeltProfile({ ...c, workspace: '/a"b\\c' })).toContain('(subpath "/a\\"b\\\\c")');
  });

  test('[TL5] the environment is what a program needs, and nothing that says who somebody is', () => {
    const from = {
      PATH: '/bin',
      HOME: '/h',
      LC_ALL: 'C',
      OPTA_API_KEY: 'k',
      GITHUB_TOKEN: 't',
      SSH_AUTH_SOCK: '/s',
      AWS_SECRET_ACCESS_KEY: 'a',
      NODE_OPTIONS: '--require /x',
      LD_PRELOAD: '/x',
    };
    const env = commandEnvironment(true, from);
    expect(Object.keys(env).sort()).toEqual(
      ['CI', 'GIT_TERMINAL_PROMPT', 'HOME', 'LC_ALL', 'NO_COLOR', 'PATH', 'TERM', 'TMPDIR'].sort(),
    );
  });
});

afterAll(() => expect(alive(`3${process.pid}`)).toEqual([]));
