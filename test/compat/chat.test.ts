import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CliResult, cli, endOf, startCli, until } from '../support/cli.ts';
import { aWorld, turn } from './world.ts';

/** `opta chat` as scripts use it: the real CLI without a terminal, the real daemon, a scripted inference server. */
const world = aWorld({}, {});

const chat = (stdin: string, ...args: string[]): Promise<CliResult> =>
  cli(world.daemon.home, ['chat', ...args], { stdin, env: { OPTA_PORT: String(world.lmx.port) } });
const linesOf = (run: CliResult): { [field: string]: unknown }[] => {
  expect(run.stdout.endsWith('\n') || run.stdout === '', run.stderr).toBe(true);
  return run.stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
};
const lastPrompt = (): string =>
  world.lmx.requests.at(-1)?.body.messages?.findLast((m) => m.role === 'user')?.content ?? '';
const messagesOf = async (id: unknown): Promise<{ role: string; content: string }[]> =>
  ((await world.daemon.get(`/v3/sessions/${id}`)).body as { messages: { role: string; content: string }[] }).messages;
const WRITES = '@@{"tools":[{"name":"write_file","args":{"path":"note.txt","content":"hi"}}],"text":"so be it"}@@';

describe('without a terminal', { timeout: 120_000 }, () => {
  test('[CT1] each line of the input is a turn of one session; stdout has the answers and nothing else', async () => {
    const run = await chat('one @@{"text":"first answer"}@@\n\ntwo @@{"text":"second answer"}@@');
    expect(run).toMatchObject({ code: 0, stdout: 'first answer\nsecond answer\n' });
    expect(world.lmx.requests.at(-1)?.body.messages?.filter((m) => m.role === 'user')).toHaveLength(2);
  });

  test('[CF6] defaultMode of the configuration counts where no flag says otherwise', async () => {
    const set = (mode: string) => cli(world.daemon.home, ['config', 'set', 'defaultMode', mode]);
    const said = async (...args: string[]): Promise<unknown> => {
      const [line] = linesOf(await chat(`go ${WRITES}`, '-f', 'json', ...args));
      const id = String(line?.session_id);
      const events = (await world.daemon.get(`/v3/sessions/${id}/events`)).body as {
        events: { event: string; payload: { mode?: string } }[];
      };
      const asked = events.events.some((e) => e.event === 'permission.request');
      return [events.events.find((e) => e.event === 'turn.start')?.payload.mode, asked];
    };
    try {
      expect((await set('auto')).code).toBe(0);
      expect(await said()).toEqual(['chat', false]);
      expect(await said('--review')).toEqual(['review', false]);
      expect((await set('plan')).code).toBe(0);
      expect(await said()).toEqual(['plan', false]);
      expect((await set('safe')).code).toBe(0);
      expect(await said()).toEqual(['chat', true]);
    } finally {
      await cli(world.daemon.home, ['config', 'delete', 'defaultMode']);
      rmSync(join(world.daemon.home, 'note.txt'), { force: true });
    }
  });

  test('[CT2] --format json: one line for each turn, in the shape that scripts know, with our fields behind it', async () => {
    const run = await chat(
      'one @@{"text":"Grüße, “twice” said."}@@\ntwo @@{"text":"x","tools":[{"name":"list_dir","args":{"path":"."}}]}@@\n',
      '-f',
      'json',
    );
    const [first, second, ...more] = linesOf(run);
    expect(Object.keys(first ?? {})).toEqual([
      'role',
      'content',
      'tool_calls',
      'session_id',
      'turn_id',
      'status',
      'model',
    ]);
    expect(first).toMatchObject({
      role: 'assistant',
      content: 'Grüße, “twice” said.',
      tool_calls: [],
      session_id: expect.any(String),
      turn_id: expect.any(String),
      status: 'completed',
      model: 'fake-model',
    });
    // The last message of the assistant, not the one that asked for the tool.
    expect(second).toMatchObject({ role: 'assistant', content: 'x', tool_calls: [], session_id: first?.session_id });
    expect(more).toEqual([]);
    expect(run.code).toBe(0);
    expect(run.stdout).not.toContain('\u001b');
  });

  test('[CT2, AU2] a turn that fails is a JSON line too; the next one runs; the exit code is that of the failure', async () => {
    const run = await chat(
      'a @@{"error":"out of luck","status":400,"code":"bad"}@@\nb @@{"text":"fine"}@@\n',
      '-f',
      'json',
    );
    const [failed, fine] = linesOf(run);
    expect(failed).toMatchObject({
      error: expect.stringContaining('out of luck'),
      exit_code: run.code,
      code: expect.any(String),
      status: 'error',
      session_id: expect.any(String),
    });
    expect(failed).not.toHaveProperty('role');
    expect(fine).toMatchObject({ content: 'fine' });
    expect(run.code).not.toBe(0);
  });

  test('[CT2] no input: nothing on stdout, exit 0; a session that is not there: one JSON line, exit 127', async () => {
    expect(await chat('', '-f', 'json')).toMatchObject({ code: 0, stdout: '' });
    const run = await chat('x\n', '-f', 'json', '--session', 'nowhere');
    expect(run.code).toBe(127);
    expect(linesOf(run)).toEqual([expect.objectContaining({ exit_code: 127, code: 'session-not-found' })]);
  });

  test('[CT3] a call that asks is denied at once and aloud; --auto lets an edit through; a read-only mode outranks it', async () => {
    const denied = await chat(`a ${WRITES}\n`);
    expect(denied.stderr).toContain('no terminal to ask at');
    expect(denied.stdout).toContain('so be it');
    expect(existsSync(join(world.daemon.home, 'note.txt'))).toBe(false);
    const planned = await chat(`b ${WRITES}\n`, '--plan', '--auto');
    expect(planned.code).toBe(0);
    expect(existsSync(join(world.daemon.home, 'note.txt'))).toBe(false);
    await chat(`c ${WRITES}\n`, '--auto');
    expect(readFileSync(join(world.daemon.home, 'note.txt'), 'utf8')).toBe('hi');
  });

  test('[CT4] --session and --resume go on where the session is: by id, by its beginning, by its words', async () => {
    const [first] = linesOf(await chat('alpha unicorn @@{"text":"1"}@@\n', '-f', 'json'));
    const id = String(first?.session_id);
    for (const way of [
      ['--session', id],
      ['-r', id],
      ['-r', id.slice(0, 8)],
      ['-r', 'unicorn'],
    ]) {
      const [answer] = linesOf(await chat('more @@{"text":"2"}@@\n', '-f', 'json', ...way));
      expect(answer?.session_id, way.join(' ')).toBe(id);
    }
    expect((await messagesOf(id)).filter((m) => m.role === 'user')).toHaveLength(5);
    linesOf(await chat('beta unicorn @@{"text":"1"}@@\n', '-f', 'json'));
    const several = await chat('x\n', '-r', 'unicorn');
    expect(several).toMatchObject({ code: 2, stdout: '' });
    expect(several.stderr).toContain(id);
    expect((await chat('x\n', '-r', 'no such words')).code).toBe(127);
  });

  test('[CT5] slash commands work in a script and speak on stderr; what is unknown is suggested, never run', async () => {
    const run = await chat(
      '/plan\n/MODE\n/statsu\n/help model\n/undo\nhi @@{"text":"x"}@@\n/sessions --help\n',
      '-f',
      'json',
    );
    expect(linesOf(run).map((line) => line.error ?? line.content)).toEqual([
      expect.stringContaining('/MODE'),
      expect.stringContaining('/statsu'),
      expect.stringContaining('/undo'),
      'x',
    ]);
    expect(run.stderr).toContain('did you mean /model?');
    expect(run.stderr).toContain('did you mean /status or /stats?');
    expect(run.stderr).toContain('No turn of this session has changed a file');
    expect(run.stderr).toContain('/sessions [words]');
    const { session_id } = linesOf(run).at(-1) ?? {};
    const events = (await world.daemon.get(`/v3/sessions/${session_id}/events`)).body as {
      events: { event: string; payload: object }[];
    };
    expect(events.events.find((e) => e.event === 'turn.start')?.payload).toMatchObject({ mode: 'plan' });
  });

  test('[CT6] @path attaches a file of the workspace; nothing outside it, whatever the links say; ! runs nothing', async () => {
    mkdirSync(join(world.daemon.home, 'sub'), { recursive: true });
    writeFileSync(join(world.daemon.home, 'sub', 'data.txt'), 'forty-two\n');
    writeFileSync(join(world.daemon.home, 'sub', 'raw.bin'), Buffer.from([1, 0, 2]));
    symlinkSync('/etc/hostname', join(world.daemon.home, 'sub', 'link.txt'));
    const said =
      'see @sub/data.txt, @sub/link.txt @/etc/passwd @sub/raw.bin @alice a@b.c @sub/none.txt @@{"text":"ok"}@@';
    const run = await chat(`${said}\n!touch made.txt\n`);
    expect(lastPrompt()).toBe(`${said}\n\n<file path="sub/data.txt">\nforty-two\n</file>`);
    for (const note of [
      '@sub/data.txt: 10 bytes',
      '@sub/link.txt: not attached',
      '@/etc/passwd: not attached',
      'not text',
      '@sub/none.txt: no such file',
    ])
      expect(run.stderr).toContain(note);
    expect(run.stderr).not.toContain('alice');
    expect(run.code).toBe(2);
    expect(existsSync(join(world.daemon.home, 'made.txt'))).toBe(false);
  });

  test('[CT7] what others do in the session is told on stderr, with who it was, and a turn waits its turn', async () => {
    const [first] = linesOf(await chat('mine @@{"text":"1"}@@\n', '-f', 'json'));
    const id = String(first?.session_id);
    const child = startCli(world.daemon.home, ['chat', '--session', id]);
    const end = endOf(child);
    let said = '';
    child.stderr?.on('data', (part) => {
      said += part;
    });
    const there = async (): Promise<boolean> =>
      ((await world.daemon.get(`/v3/sessions/${id}/presence`)).body as { present: unknown[] }).present.length > 0;
    while (!(await there())) await new Promise((resolve) => setTimeout(resolve, 50));
    await world.daemon.post(`/v3/sessions/${id}/turns`, {
      ...turn('eve asks @@{"tokens":40,"tps":10}@@'),
      writerId: 'eve',
    });
    await until(() => /eve› eve asks/.test(said), 'the turn of eve to be told', 20_000);
    child.stdin?.end('and me @@{"text":"my own answer"}@@\n');
    const run = await end;
    expect(run).toMatchObject({ code: 0, stdout: 'my own answer\n' });
    expect(run.stderr).toContain('waits for the turn of eve');
    expect(run.stderr).toContain('tok39');
    expect(run.stderr.indexOf('tok39')).toBeLessThan(run.stderr.indexOf('tool calls'));
  });

  test('[CT8] an interrupt cancels the turn in the daemon, speaks on stderr, and ends the script with 130', async () => {
    const child = startCli(world.daemon.home, ['chat', '-f', 'json']);
    const end = endOf(child);
    const before = world.lmx.cancels.length;
    const asked = world.lmx.requests.length;
    child.stdin?.write('go on @@{"tokens":2000,"tps":20}@@\nnever\n');
    await until(() => world.lmx.requests.length > asked, 'the model to be asked', 20_000);
    child.kill('SIGINT');
    const run = await end;
    expect(run.code).toBe(130);
    expect(linesOf(run)).toEqual([expect.objectContaining({ status: 'cancelled', code: 'cancelled', exit_code: 130 })]);
    expect(run.stderr).toContain('Interrupted');
    await until(() => world.lmx.cancels.length > before, 'the inference to be cancelled');
  });

  test('[CT9] opta alone prints help, and with a mode of reading it answers one question; flags that make no sense are refused', async () => {
    const bare = await cli(world.daemon.home, []);
    expect(bare).toMatchObject({ code: 0, stderr: '' });
    expect(bare.stdout).toContain('Usage: opta');
    const once = await cli(world.daemon.home, ['--plan'], { stdin: '/help @@{"text":"just this"}@@\nno more\n' });
    expect(once).toMatchObject({ code: 0, stdout: 'just this\n' });
    const screen = await cli(world.daemon.home, ['tui', '-f', 'json'], { stdin: 'q @@{"text":"one"}@@\n' });
    expect(linesOf(screen)).toEqual([expect.objectContaining({ content: 'one' })]);
    for (const [args, code] of [
      [['chat', '--plan', '--review', '-f', 'json'], 2],
      [['chat', '--device', 'a b', '-f', 'json'], 2],
      [['chat', '--provider', 'nobody', '--format', 'json'], 1],
    ] as const) {
      const run = await cli(world.daemon.home, [...args]);
      expect(run.code, args.join(' ')).toBe(code);
      expect(linesOf(run)).toEqual([expect.objectContaining({ exit_code: code, error: expect.any(String) })]);
    }
    const unknown = await cli(world.daemon.home, ['sesions']);
    expect(unknown).toMatchObject({ code: 1, stdout: '' });
    expect(unknown.stderr).toContain('Did you mean sessions?');
  });
});
