import { afterEach, describe, expect, test } from 'vitest';
import { isAlive } from '../../src/client/daemon-state.ts';
import { until } from '../support/cli.ts';
import { hasVt, TTY_AS_AT_FIRST, VT_MISSING, type Vt, type VtOptions } from '../support/vt.ts';
import { aTerminalWorld, SAYS } from './terminal-world.ts';

describe.runIf(hasVt)(`the end of the full screen${VT_MISSING}`, { timeout: 120_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt;
  afterEach(() => vt?.close());

  /** With an answer that streams, so that something is always about to be written. */
  const busy = async (options: VtOptions = {}): Promise<string> => {
    const id = await world.session();
    vt = await world.open(id, options);
    await world.say(id, world.prompt({ tokens: 3_000, tps: 60 }));
    await vt.shows('tok3');
    return id;
  };

  /** Nothing is written over the prompt of the shell, and every mode is as it was. */
  const expectRestored = async (code: number): Promise<void> => {
    await vt.shows(`RC=${code}`);
    await vt.shows(TTY_AS_AT_FIRST);
    await vt.quiet(300);
    expect(vt.alternate).toBe(false);
    expect(vt.cursor().shown).toBe(true);
    expect(vt.leftOver()).toEqual([]);
    expect(vt.screen()).not.toMatch(/tok\d/);
  };

  test('[CT8, CT11] by its own keys, in the middle of somebody else’s answer', async () => {
    await busy();
    vt.press('C-d');
    await expectRestored(0);
  });

  test.each([
    ['SIGTERM', 130],
    ['SIGHUP', 130],
  ] as const)('[CT11] by %s', async (signal, code) => {
    await busy();
    process.kill(vt.child(), signal);
    await expectRestored(code);
  });

  test('[CT11] by an error that nobody caught: what it was is read on the restored screen', async () => {
    const thrower = "process.on('SIGUSR2',()=>{throw new Error('made to fail')})";
    await busy({ env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(thrower)}` } });
    process.kill(vt.child(), 'SIGUSR2');
    await expectRestored(1);
    expect(vt.screen()).toContain('made to fail');
  });

  test('[CT11] by a promise that nobody waited for', async () => {
    const thrower = "process.on('SIGUSR2',()=>{void Promise.reject(new Error('left alone'))})";
    await busy({ env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(thrower)}` } });
    process.kill(vt.child(), 'SIGUSR2');
    await expectRestored(1);
    expect(vt.screen()).toContain('left alone');
  });

  test('[CT11] when its window is closed it ends, and the turn of another goes on', async () => {
    const id = await busy();
    const pid = vt.child();
    vt.hangUp();
    await until(() => !isAlive(pid), 'the program to end');
    const session = (await world.daemon.get(`/v3/sessions/${id}`)).body as { activeTurnId?: string };
    expect(session.activeTurnId).toBeDefined();
  });

  test('[CT8, CT11] by a second Ctrl+C, when the daemon of one’s own turn hangs', async () => {
    const id = await world.session();
    vt = await world.open(id);
    vt.type(`${world.prompt({ tokens: 3_000, tps: 60 })}\r`);
    await vt.shows('tok3');
    process.kill(world.daemon.pid, 'SIGSTOP');
    try {
      vt.press('C-c');
      await vt.shows('cancelling');
      vt.press('C-c');
      await expectRestored(0);
    } finally {
      process.kill(world.daemon.pid, 'SIGCONT');
    }
  });

  test('[CT11] the daemon is killed and comes back: what is being written stays, and the answer is whole', async () => {
    const id = await busy();
    vt.type('a draft 你好');
    await vt.shows(`${SAYS.prompt}a draft 你好`);
    await world.daemon.end('SIGKILL');
    await vt.shows(SAYS.lost);
    vt.type(' and more');
    await vt.shows('a draft 你好 and more');
    await world.daemon.restart();
    await vt.lacks(SAYS.lost);
    await vt.shows(SAYS.connected);
    await vt.shows('a draft 你好 and more');
    expect(vt.cursor()).toMatchObject({ x: SAYS.prompt.length + 'a draft 你好 and more'.length + 2, shown: true });
    await vt.shows('interrupted');
    await world.say(id, world.prompt({ text: 'after the restart' }));
    await vt.shows('after the restart');
    vt.press('C-u', 'C-d');
    await expectRestored(0);
  });
});
