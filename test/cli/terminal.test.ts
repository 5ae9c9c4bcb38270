import { spawn, spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLI_COMMAND, cliEnv, removeDir, tempDir, until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

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

/** util-linux `script` lends a terminal; its BSD namesake has other arguments. */
const hasTerminal = spawnSync('script', ['--version']).status === 0;

/** The CLI at a terminal: what is typed, and all that is on the screen. */
const atTerminal = (args: string[]) => {
  const command = [...CLI_COMMAND, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'], {
    cwd: home,
    env: cliEnv(home, { TERM: 'xterm', NO_COLOR: '1' }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const seen = { text: '' };
  child.stdout.on('data', (part) => {
    seen.text += part;
  });
  const code = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { type: (text: string) => child.stdin.write(text), seen, code };
};

describe.runIf(hasTerminal)('at a terminal', () => {
  const asked: { decision: string; decidedBy: string }[] = [];
  beforeEach(() => {
    asked.length = 0;
    daemon.script = (turn) => {
      turn.token('Model says \u001b[2J\u001b]0;owned\u0007');
      turn.emit('permission.request', {
        requestId: 'r1',
        callId: 'c1',
        toolName: 'write_file',
        args: {},
        summary: 'Write a.txt\u001b[1A\u001b[2K',
        preview: '+ line',
        expiresAt: '2030-01-01T00:00:00.000Z',
      });
    };
    daemon.onPermission = (turn, body) => {
      asked.push(body);
      turn.token(`you said ${body.decision}`, 2);
      turn.done();
    };
  });

  test('[PM2] a person is asked, and y allows in their name', async () => {
    const run = atTerminal(['do', 'x']);
    await until(() => run.seen.text.includes('[y/N]'), 'the question', 20_000);
    expect(run.seen.text).toContain('Write a.txt');
    expect(run.seen.text).toContain('+ line');
    run.type('y\r');
    expect(await run.code).toBe(0);
    expect(asked).toEqual([expect.objectContaining({ decision: 'allow', decidedBy: userInfo().username })]);
    expect(run.seen.text).toContain('you said allow');
  });

  test('[PM3] anything but yes denies, and what a model writes cannot steer the terminal', async () => {
    const run = atTerminal(['do', 'x']);
    await until(() => run.seen.text.includes('[y/N]'), 'the question', 20_000);
    // Moving up and clearing a line would hide what is being allowed.
    for (const steering of ['\u001b[2J', '\u001b]0;', '\u001b[1A']) expect(run.seen.text).not.toContain(steering);
    run.type('sure\r');
    expect(await run.code).toBe(0);
    expect(asked).toMatchObject([{ decision: 'deny' }]);
  });

  test('[PM2] a question that somebody else has answered goes away by itself', async () => {
    const run = atTerminal(['do', 'x']);
    await until(() => run.seen.text.includes('[y/N]'), 'the question', 20_000);
    const turnId = 't2';
    daemon.emit('s1', 'permission.resolved', {
      turnId,
      requestId: 'r1',
      callId: 'c1',
      toolName: 'write_file',
      decision: 'allow',
      reason: 'person',
      decidedBy: 'person:eve',
    });
    await until(() => run.seen.text.includes('decided elsewhere'), 'the question to go away');
    daemon.emit('s1', 'turn.error', {
      turnId,
      writerId: 'w',
      clientId: 'c',
      message: 'x',
      code: 'internal',
      outcome: 'error',
      partial: false,
    });
    expect(await run.code).toBe(1);
    expect(asked).toEqual([]);
  });
});
