import { spawnSync } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { runTui } from '../../src/tui/run.ts';
import { aTerminalWorld, opened, SAYS } from '../screens/terminal-world.ts';
import { CLI_COMMAND } from '../support/cli.ts';
import { hasVt, openVt, VT_MISSING, Vt } from '../support/vt.ts';
import { aHost } from './app-world.ts';

const hasShell = hasVt && spawnSync('bash', ['-c', 'true']).status === 0;

describe.runIf(hasShell)(`a job of a shell${VT_MISSING}`, { timeout: 60_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt;
  afterEach(() => vt?.close());

  /** A shell that has jobs, with the full screen in front. */
  const inShell = async (): Promise<void> => {
    const id = await world.session();
    vt = new Vt('bash', ['--norc', '--noprofile', '-i'], world.daemon.home, { env: { PS1: 'shell> ' } });
    await vt.shows('shell>');
    // Its own line editor uses the mode that is looked for afterwards.
    vt.type("bind 'set enable-bracketed-paste off'; echo r''eady\r");
    await vt.shows('ready');
    vt.type(`${[...CLI_COMMAND, 'tui', '--session', id].join(' ')}\r`);
    await opened(vt);
    vt.type('a draft');
    await vt.shows(`${SAYS.prompt}a draft`);
  };
  const expectShell = async (): Promise<void> => {
    await vt.until(() => !vt.alternate, 'the shell’s screen');
    await vt.shows('Stopped');
    expect(vt.leftOver()).toEqual([]);
    vt.type("stty -a | grep -o -- '-*icanon' | sed 's/^/mode:/'\r");
    await vt.shows('mode:icanon');
  };
  const expectBack = async (): Promise<void> => {
    vt.type('fg\r');
    await vt.until(() => vt.alternate, 'the full screen');
    await vt.shows(`${SAYS.prompt}a draft`);
    vt.type(' goes on');
    await vt.shows(`${SAYS.prompt}a draft goes on`);
    vt.press('C-u', 'C-d');
    await vt.until(() => !vt.alternate, 'the end');
    vt.type("echo RC=$?; stty -a | grep -o -- '-*icanon' | sed 's/^/now:/'\r");
    await vt.shows('RC=0');
    await vt.shows('now:icanon');
    expect(vt.leftOver()).toEqual([]);
  };

  test('[CT11] Ctrl+Z gives the terminal to the shell, fg takes it again with what was written', async () => {
    await inShell();
    vt.press('C-z');
    await expectShell();
    await expectBack();
  });

  test('[CT11] so does the signal for it from elsewhere', async () => {
    await inShell();
    process.kill(vt.child(), 'SIGTSTP');
    await expectShell();
    await expectBack();
  });

  test('[CT11] stopped without a word, it takes the terminal anew', async () => {
    await inShell();
    process.kill(vt.child(), 'SIGSTOP');
    await vt.shows('Stopped');
    await expectBack();
  });

  test('[CT11] where nobody can stop it, it goes on', async () => {
    const id = await world.session();
    vt = openVt(world.daemon.home, ['tui', '--session', id]);
    await opened(vt);
    vt.press('C-z');
    await vt.quiet(400);
    vt.type('still here');
    await vt.shows(`${SAYS.prompt}still here`);
    expect(vt.alternate).toBe(true);
    vt.press('C-u', 'C-d');
    await vt.shows('RC=0');
    expect(vt.leftOver()).toEqual([]);
  });
});

describe('a terminal that goes away without a signal', () => {
  const aTerminal = () => {
    const input = new PassThrough();
    const output = Object.assign(new PassThrough(), { columns: 80, rows: 24, isTTY: true });
    let written = '';
    output.on('data', (part) => {
      written += String(part);
    });
    const terminal = { input, output, env: { TERM: 'xterm' } } as unknown as Parameters<typeof runTui>[2];
    return { input, output, terminal, written: () => written };
  };

  test('[CT11] nothing more can be typed: it ends', async () => {
    const { input, terminal, written } = aTerminal();
    const { host, links } = aHost();
    const over = runTui(host, 's1', terminal);
    input.end();
    await expect(over).rejects.toMatchObject({ code: 'cancelled' });
    expect(links[0]?.closed).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written().endsWith('\u001b[?2004l\u001b[23;2t')).toBe(true);
  });

  test('[CT11] nothing more can be shown: it ends', async () => {
    const { output, terminal } = aTerminal();
    const { host, links } = aHost();
    const over = runTui(host, 's1', terminal);
    output.destroy(Object.assign(new Error('gone'), { code: 'EPIPE' }));
    await expect(over).rejects.toMatchObject({ code: 'cancelled' });
    expect(links[0]?.closed).toBe(true);
  });
});
