import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runTurn } from '../../src/cli/turn-run.ts';
import { daemonHttp } from '../../src/client/http.ts';
import { CLI_COMMAND, cli, cliEnv, endOf, removeDir, startCli, tempDir, until } from '../support/cli.ts';
import { FakeDaemon, type FakeTurn } from '../support/fake-daemon.ts';

let home: string;
let daemon: FakeDaemon;
beforeEach(async () => {
  home = tempDir();
  daemon = await new FakeDaemon().start();
  daemon.writeState(home);
});
afterEach(async () => {
  await daemon.stop();
  removeDir(home);
});

const submits = () => daemon.asked.filter((a) => a.path.endsWith('/turns'));
const call = { id: 'c1', name: 'write_file', args: '{"path":"a"}' };
const ask = (turn: FakeTurn): void =>
  void turn.emit('permission.request', {
    requestId: 'r1',
    callId: 'c1',
    toolName: 'write_file',
    args: { path: 'a' },
    summary: 'write a',
    expiresAt: '2030-01-01T00:00:00.000Z',
  });

/** Two steps with a tool call between them: only the last step's text is the answer. */
const twoSteps = (turn: FakeTurn): void => {
  turn.token('Let me look.');
  turn.emit('turn.progress', { phase: 'model.response', message: null, provider: null, step: 1, calls: [call] });
  turn.emit('tool.start', { ...call, decidedBy: 'rule:read' });
  turn.emit('tool.end', { id: 'c1', name: 'write_file', result: 'ok', isError: false, elapsedMs: 3 });
  turn.token('The answer', 2);
  turn.token(' is 42', 2);
  turn.done();
};

describe('results', () => {
  test('[AU1] json: one line with the contract fields first, and nothing else on stdout', async () => {
    daemon.script = twoSteps;
    const run = await cli(home, ['do', '--format', 'json', 'what', 'is', 'it']);
    expect(run.code).toBe(0);
    expect(run.stdout.endsWith('\n')).toBe(true);
    expect(run.stdout.trimEnd().split('\n')).toHaveLength(1);
    const body = JSON.parse(run.stdout);
    expect(Object.keys(body).slice(0, 4)).toEqual(['result', 'tool_calls', 'model', 'exit_code']);
    expect(body).toEqual({
      result: 'The answer is 42',
      tool_calls: 1,
      model: 'fake-model',
      exit_code: 0,
      session_id: 's1',
      turn_id: expect.stringMatching(/^t/),
      status: 'completed',
    });
  });

  test('the task, the mode, the flags and the workspace reach the daemon; the task is submitted once', async () => {
    const run = await cli(home, [
      'do',
      'fix',
      'it',
      '-m',
      'big',
      '--auto',
      '--mode',
      'plan',
      '--no-commit',
      '--provider',
      'Zen',
    ]);
    expect(run).toMatchObject({ code: 0 });
    expect(daemon.session('s1')).toMatchObject({ workspace: home, title: 'fix it', model: 'big' });
    expect(submits()).toHaveLength(1);
    expect(submits()[0]?.body).toMatchObject({
      clientId: 'legacy-http',
      writerId: 'legacy-http',
      content: 'fix it',
      mode: 'plan',
      overrides: { model: 'big', provider: 'opencode_zen', auto: true, noCommit: true },
    });
  });

  test('text: the answer on stdout, everything about it on stderr, no escape codes', async () => {
    daemon.script = twoSteps;
    const run = await cli(home, ['do', 'x', '-o', 'out.txt']);
    expect(run.stdout).toBe('Let me look.\nThe answer is 42\n');
    expect(run.stderr).toContain('write_file');
    expect(run.stderr).toContain('1 tool call');
    expect(run.stdout + run.stderr).not.toContain('\u001b');
    expect(readFileSync(join(home, 'out.txt'), 'utf8')).toBe('The answer is 42');
  });

  test("jsonl: ids first, the turn's own events byte for byte, the result last", async () => {
    daemon.script = twoSteps;
    const lines = (await cli(home, ['do', '-f', 'jsonl', 'x'])).stdout.trimEnd().split('\n');
    expect(JSON.parse(lines[0] as string)).toMatchObject({ type: 'ids', session_id: 's1' });
    expect(lines.slice(1, -1)).toEqual(
      daemon
        .session('s1')
        .log.slice(1)
        .map((r) => r.text),
    );
    expect(JSON.parse(lines.at(-1) as string)).toMatchObject({
      type: 'result',
      result: 'The answer is 42',
      exit_code: 0,
    });
  });

  test('quiet wins over json: nothing on success, only the error on failure', async () => {
    expect(await cli(home, ['do', '-q', '-f', 'json', 'x'])).toEqual({ code: 0, stdout: '', stderr: '' });
    daemon.script = (turn) => turn.error('no-model-loaded', 'error', 'No model is loaded');
    const run = await cli(home, ['do', '-q', '-f', 'json', 'x']);
    expect(run).toMatchObject({ code: 3, stdout: '' });
    expect(run.stderr).toContain('No model is loaded');
  });

  test('--session continues that session, with its cursor, and never shows an older turn', async () => {
    daemon.session('old');
    for (let i = 0; i < 50; i++) daemon.emit('old', 'turn.token', { turnId: 'before', text: 'OLD', step: 1 });
    const run = await cli(home, ['do', '--session', 'old', 'x']);
    expect(run).toMatchObject({ code: 0, stdout: 'hello\n' });
    expect(daemon.asked.some((a) => a.method === 'WS' && a.path.includes('afterSeq=51'))).toBe(true);
    expect(await cli(home, ['do', '--session', 'nope', '-f', 'json', 'x'])).toMatchObject({ code: 127 });
  });
});

describe('through any pipe', () => {
  const BIG = 10 << 20;
  const big = (turn: FakeTurn): void => {
    for (let i = 0; i < BIG; i += 1 << 16) turn.token('0123456789abcdef'.repeat(1 << 12));
    turn.done();
  };

  test('[AU1] 10 MB of json arrive whole through a pipe whose reader is slow', async () => {
    daemon.script = big;
    const child = startCli(home, ['do', '-f', 'json', 'x']);
    child.stdin?.end();
    const parts: Buffer[] = [];
    child.stdout?.on('data', (part: Buffer) => {
      parts.push(part);
      child.stdout?.pause();
      setTimeout(() => child.stdout?.resume(), 1);
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(0);
    expect(JSON.parse(Buffer.concat(parts).toString()).result).toHaveLength(BIG);
  });

  test('[AU1] 10 MB of text too, with the attachment held back meanwhile', async () => {
    daemon.script = big;
    const child = startCli(home, ['do', 'x']);
    child.stdin?.end();
    let bytes = 0;
    child.stdout?.on('data', (part: Buffer) => {
      bytes += part.length;
      child.stdout?.pause();
      setTimeout(() => child.stdout?.resume(), 1);
    });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    expect(bytes).toBe(BIG + 1);
  });

  test('[AU1] a reader that leaves (| head -1) is no error and no stack trace; the turn goes on to its end', async () => {
    daemon.script = async (turn) => {
      for (let i = 0; i < 200; i++) {
        turn.token(`${'line '.repeat(2_000)}\n`);
        if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      turn.done();
    };
    const child = startCli(home, ['do', 'x']);
    child.stdin?.end();
    child.stdout?.once('data', () => child.stdout?.destroy());
    const run = await endOf(child);
    expect(run.code).toBe(0);
    expect(run.stderr).not.toMatch(/EPIPE|at .*\.ts/);
    expect(daemon.asked.some((a) => a.path.endsWith('/cancel'))).toBe(false);
  });

  // Only Linux has a device that is always full.
  test.runIf(existsSync('/dev/full'))('[AU6] an answer for which there is no room is an error', async () => {
    daemon.script = (turn) => {
      turn.token('the answer');
      turn.done();
    };
    for (const flags of [[], ['--format', 'json']]) {
      const child = spawn('/bin/sh', ['-c', 'exec "$@" >/dev/full', 'sh', ...CLI_COMMAND, 'do', 'x', ...flags], {
        env: cliEnv(home),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const run = await endOf(child);
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/^opta: the output could not be written: .*ENOSPC.*$/m);
      expect(run.stderr).not.toMatch(/^ +at /m);
    }
  });
});

describe('failures', () => {
  test('[AU2] each way for a turn to fail has its exit code, and the JSON says the same', async () => {
    daemon.script = (turn) => {
      turn.token('partial');
      const [code, outcome] = turn.content.split(' ') as [string, 'error'];
      turn.error(code, outcome, `because ${code}`);
    };
    const table = [
      ['no-model-loaded', 'error', 3],
      ['lmx-timeout', 'error', 1],
      ['something-new', 'error', 1],
      ['cancelled', 'cancelled', 130],
      ['interrupted', 'interrupted', 1],
    ] as const;
    const runs = await Promise.all(table.map(([code, outcome]) => cli(home, ['do', '--format=json', code, outcome])));
    for (const [i, [code, status, exit]] of table.entries()) {
      const run = runs[i] as { code: number; stdout: string };
      expect(run.code, code).toBe(exit);
      const body = JSON.parse(run.stdout);
      expect(body).toMatchObject({ error: `because ${code}`, exit_code: exit, status, session_id: expect.any(String) });
      expect(body).not.toHaveProperty('result');
    }
  });

  test('[AU1] a blank task is exit 2 with JSON; an unknown flag is exit 1 with JSON; nothing is submitted', async () => {
    const blank = await cli(home, ['do', '', '--format', 'json']);
    expect(blank.code).toBe(2);
    expect(JSON.parse(blank.stdout)).toEqual({ error: 'No task specified', exit_code: 2 });
    const bogus = await cli(home, ['do', '--format', 'json', '--bogus', 'x']);
    expect(bogus.code).toBe(1);
    expect(JSON.parse(bogus.stdout)).toMatchObject({ exit_code: 1 });
    expect(await cli(home, ['do'])).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('task') });
    expect(submits()).toEqual([]);
  });

  test('an invalid provider says which there are, exit 1; an invalid device, exit 2', async () => {
    const provider = await cli(home, ['do', '--provider', 'nope', 'x']);
    expect(provider.code).toBe(1);
    expect(provider.stderr).toMatch(/Invalid provider.*lmx, anthropic.*claude-code/s);
    expect(await cli(home, ['do', '--device', 'a b', 'x'])).toMatchObject({ code: 2 });
  });

  test('flags that have no effect say so on stderr, and with --quiet nothing is said', async () => {
    const flags = ['--provider', 'claude', '--mode', 'odd', '--add-dir', 'lib', '-m', ''];
    const [told, quiet] = await Promise.all([
      cli(home, ['do', 'x', '-f', 'json', ...flags]),
      cli(home, ['do', 'x', '-q', ...flags]),
    ]);
    expect(JSON.parse(told.stdout)).toMatchObject({ exit_code: 0 });
    const lines = told.stderr.trimEnd().split('\n');
    expect(lines).toEqual([
      'opta: --provider anthropic has no effect: every prompt goes to the configured inference host',
      'opta: unknown mode "odd", using do',
      'opta: --add-dir has no effect: a session has one workspace, the current folder',
    ]);
    expect(quiet).toEqual({ code: 0, stdout: '', stderr: '' });
    // An empty -m, as of a script with an empty variable, names no model.
    for (const submit of submits()) expect(submit.body).not.toHaveProperty('overrides.model');
  });

  test('[AU6] a folder in the place of the output is refused before anything is asked', async () => {
    for (const path of ['', '.', home]) {
      const run = await cli(home, ['do', 'x', '-f', 'json', '-o', path]);
      expect(run.code).toBe(2);
      expect(JSON.parse(run.stdout)).toEqual({ error: `Cannot write ${home}: it is a folder`, exit_code: 2 });
    }
    expect(submits()).toEqual([]);
  });

  test('[AU3, CL2] a submit that breaks off is sent again with the same key: the task runs once', async () => {
    daemon.intercept = (_req, res, path) => {
      if (!path.endsWith('/turns') || submits().length > 2) return false;
      res.destroy();
      return true;
    };
    const run = await cli(home, ['do', '-f', 'json', 'x']);
    expect(JSON.parse(run.stdout)).toMatchObject({ result: 'hello', exit_code: 0 });
    const keys = submits().map((s) => (s.body as { idempotencyKey: string }).idempotencyKey);
    expect(keys).toEqual([keys[0], keys[0], keys[0]]);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(daemon.session('s1').log.filter((r) => r.text.includes('"turn.queued"'))).toHaveLength(1);
  });

  test('[AU3] the log shows the key too: an answer that never comes is not waited for', async () => {
    daemon.swallow = (command) => command.endsWith('/turns');
    daemon.script = (turn) => void setTimeout(() => turn.error('lmx-timeout', 'error', 'm'), 100);
    const run = await cli(home, ['do', '-f', 'json', 'x']);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: 'm', code: 'lmx-timeout', turn_id: expect.any(String) });
    expect(daemon.session('s1').log.filter((r) => r.text.includes('"turn.queued"'))).toHaveLength(1);
  });

  test('[AU3] a daemon that dies in mid-turn is an error within a bound, never a second run', async () => {
    daemon.script = (turn) => {
      turn.token('half');
      setTimeout(() => void daemon.stop(), 50);
    };
    const run = await cli(home, ['do', '-f', 'json', 'x']);
    expect(run.code).toBe(1);
    expect(JSON.parse(run.stdout)).toMatchObject({ code: 'daemon-unreachable', session_id: 's1' });
    expect(submits()).toHaveLength(1);
    daemon = await new FakeDaemon().start();
  }, 30_000);
});

describe('--idempotency-key', () => {
  const keyed = (...more: string[]) => cli(home, ['do', '--session', 's', '--idempotency-key', 'job-7', ...more]);
  const queued = () => daemon.session('s').log.filter((r) => r.text.includes('"turn.queued"'));

  test('[CL2] the same key twice is one turn; the second run prints the same result, read from the log', async () => {
    daemon.session('s');
    daemon.script = twoSteps;
    const first = await keyed('-f', 'json', 'x');
    for (let i = 0; i < 5; i++) daemon.emit('s', 'turn.token', { turnId: 'later', text: 'LATER', step: 1 });
    const second = await keyed('-f', 'json', 'x');
    expect(first.code).toBe(0);
    expect(second).toEqual(first);
    expect(JSON.parse(second.stdout)).toMatchObject({ result: 'The answer is 42', tool_calls: 1 });
    const text = await keyed('x');
    expect(text.stdout).toBe('Let me look.\nThe answer is 42\n');
    expect(queued()).toHaveLength(1);
  });

  test('[CL2] a second run joins a turn that still runs, and asks nothing that was decided', async () => {
    daemon.session('s');
    const decision = {
      requestId: 'r1',
      callId: 'c1',
      toolName: 'write_file',
      reason: 'person',
      decidedBy: 'person:eve',
    };
    let finish = (): void => undefined;
    daemon.script = (turn) => {
      ask(turn);
      turn.emit('permission.resolved', { ...decision, decision: 'allow' });
      finish = () => {
        turn.token('joint');
        turn.done();
      };
    };
    daemon.intercept = (_req, res, path) => {
      if (!path.includes('/permissions/')) return false;
      res.writeHead(409).end('{"error":"already resolved","code":"permission-resolved"}');
      return true;
    };
    const first = keyed('x');
    await until(
      () => daemon.session('s').log.some((r) => r.text.includes('permission.resolved')),
      'the decision',
      15_000,
    );
    const second = keyed('x');
    await until(() => daemon.asked.filter((a) => a.method === 'WS').length >= 3, 'the second run to read back', 15_000);
    finish();
    const answered = daemon.asked.filter((a) => a.path.includes('/permissions/')).length;
    expect((await second).stdout).toBe('joint\n');
    expect((await second).stderr).not.toContain('denied write a');
    expect((await first).stdout).toBe('joint\n');
    expect(daemon.asked.filter((a) => a.path.includes('/permissions/'))).toHaveLength(answered);
    expect(queued()).toHaveLength(1);
  });

  test('[AU2] another task with that key is refused; a key without a session or of odd characters is misuse', async () => {
    daemon.session('s');
    await keyed('x');
    const other = await keyed('-f', 'json', 'y');
    expect(JSON.parse(other.stdout)).toMatchObject({ code: 'idempotency-mismatch', exit_code: 1 });
    expect(await cli(home, ['do', '--idempotency-key', 'k', 'x'])).toMatchObject({ code: 2 });
    expect(await cli(home, ['do', '--session', 's', '--idempotency-key', 'a b', 'x'])).toMatchObject({ code: 2 });
    expect(queued()).toHaveLength(1);
  });
});

describe('permissions without a terminal', () => {
  test('[PM3] a request is denied at once, aloud on stderr, and the run goes on', async () => {
    const decisions: unknown[] = [];
    daemon.script = ask;
    daemon.onPermission = (turn, body) => {
      decisions.push(body);
      turn.token('I could not write');
      turn.done();
    };
    const run = await cli(home, ['do', '-f', 'json', 'x']);
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout).result).toBe('I could not write');
    expect(decisions).toEqual([expect.objectContaining({ requestId: 'r1', decision: 'deny' })]);
    expect(run.stderr).toMatch(/denied write a.*no terminal/);
  });

  test('[PM2] a request that somebody else has decided is left alone', async () => {
    daemon.script = (turn) => {
      ask(turn);
      turn.emit('permission.resolved', {
        requestId: 'r1',
        callId: 'c1',
        toolName: 'write_file',
        decision: 'allow',
        reason: 'person',
        decidedBy: 'person:eve',
      });
      setTimeout(() => turn.done(), 200);
    };
    daemon.intercept = (_req, res, path) => {
      if (!path.includes('/permissions/')) return false;
      res.writeHead(409).end('{"error":"already resolved","code":"permission-resolved"}');
      return true;
    };
    const run = await cli(home, ['do', 'x']);
    expect(run.code).toBe(0);
    expect(run.stderr).not.toMatch(/did not reach/);
  });
});

describe('ending early', () => {
  const runAndSignal = async (signal: NodeJS.Signals, args: string[]) => {
    daemon.script = (turn) => turn.token('working');
    const child = startCli(home, ['do', ...args, 'x']);
    child.stdin?.end();
    const end = endOf(child);
    await until(() => daemon.session('s1').log.some((r) => r.text.includes('working')), 'the turn to run', 15_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill(signal);
    return end;
  };

  test('[AU2] SIGINT cancels the turn at the daemon, speaks on stderr, exits 130', async () => {
    const run = await runAndSignal('SIGINT', []);
    expect(run.code).toBe(130);
    expect(run.stdout).toBe('working\n');
    expect(run.stderr).toContain('Interrupted');
    const cancels = daemon.asked.filter((a) => a.path.endsWith('/cancel'));
    expect(cancels).toHaveLength(1);
    expect(cancels[0]?.body).toEqual({ turnId: expect.stringMatching(/^t/) });
  });

  test('[AU1] under json the interrupt is JSON too', async () => {
    const run = await runAndSignal('SIGTERM', ['-f', 'json']);
    expect(run.code).toBe(130);
    expect(JSON.parse(run.stdout)).toMatchObject({ exit_code: 130, code: 'cancelled', status: 'cancelled' });
  });

  test('[CX3] a turn that is done before the cancel arrives counts as done', async () => {
    daemon.onCancel = (turn) => turn.done();
    const run = await runAndSignal('SIGINT', ['-f', 'json']);
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({ result: 'working', status: 'completed' });
  });

  test('[CX3] an interrupt while the submit is being answered cancels once', async () => {
    daemon.script = (turn) => turn.token('on and on');
    daemon.onCancel = (turn) => void setTimeout(() => turn.error('cancelled', 'cancelled', 'Turn cancelled'), 200);
    const address = { host: '127.0.0.1', port: daemon.port, token: daemon.token };
    const http = daemonHttp(address);
    const { sessionId } = await http.createSession();
    const control = new AbortController();
    const view = await runTurn({
      http,
      address: async () => address,
      sessionId,
      afterSeq: 0,
      turn: { clientId: 'c', writerId: 'w', content: 'x', mode: 'do' },
      signal: control.signal,
      onTurn: () => control.abort(),
    });
    http.close();
    expect(view.end?.outcome).toBe('cancelled');
    expect(daemon.asked.filter((a) => a.path.endsWith('/cancel'))).toHaveLength(1);
  });

  test('[SV2] --timeout cancels the turn at the daemon and exits 1', async () => {
    daemon.script = (turn) => turn.token('forever');
    const run = await cli(home, ['do', '-f', 'json', '--timeout', '300ms', 'x']);
    expect(run.code).toBe(1);
    expect(JSON.parse(run.stdout)).toMatchObject({ code: 'timeout', exit_code: 1 });
    expect(daemon.asked.filter((a) => a.path.endsWith('/cancel'))).toHaveLength(1);
  });
});

describe('standard input', () => {
  test('what is piped in is the task when there are no words; "-" stands for it among words', async () => {
    await cli(home, ['do'], { stdin: 'from a pipe\n' });
    await cli(home, ['do', 'explain', '-'], { stdin: 'THE TEXT' });
    expect(submits().map((s) => (s.body as { content: string }).content)).toEqual([
      'from a pipe\n',
      'explain \n\nTHE TEXT',
    ]);
  });

  test('words leave standard input alone, even if it never ends', async () => {
    const child = startCli(home, ['do', 'x']);
    expect(await endOf(child)).toMatchObject({ code: 0, stdout: 'hello\n' });
  });

  test('[SV3] more than the daemon takes is refused before it is sent, exit 2', async () => {
    const run = await cli(home, ['do', '-', '-f', 'json'], { stdin: 'x'.repeat((4 << 20) + 10) });
    expect(run.code).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({ code: 'payload-too-large' });
    expect(submits()).toEqual([]);
  });
});
