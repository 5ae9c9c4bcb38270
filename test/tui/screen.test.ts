import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { isAlive } from '../../src/client/daemon-state.ts';
import { startDaemon } from '../compat/daemon.ts';
import { aWorld, eventsOf, turn } from '../compat/world.ts';
import { removeDir, until } from '../support/cli.ts';
import { hasTmux, openPane, type Pane, type PaneOptions } from '../support/tmux.ts';

/** The full screen in a real terminal, over the real daemon and a scripted inference server. */
describe.runIf(hasTmux)('the full screen', { timeout: 90_000 }, () => {
  const world = aWorld({}, {});
  let pane: Pane;
  afterEach(() => pane?.close());

  let sessions = 0;
  const newSession = async (): Promise<string> => {
    sessions += 1;
    const sessionId = `screen-${sessions}`;
    const body = { sessionId, metadata: { workspace: world.daemon.home } };
    expect((await world.daemon.post('/v3/sessions', body)).status).toBe(201);
    return sessionId;
  };
  const open = async (sessionId: string, options: PaneOptions = {}): Promise<Pane> => {
    const opened = openPane(world.daemon.home, ['tui', '--session', sessionId], options);
    pane = opened;
    await opened.shows((options.columns ?? 80) < 40 ? '›' : '● connected');
    return opened;
  };
  const asEve = (sessionId: string, content: string) =>
    world.daemon.post(`/v3/sessions/${sessionId}/turns`, { ...turn(content), writerId: 'eve' });
  const write = (path: string) =>
    `write @@{"tools":[{"name":"write_file","args":{"path":"${path}","content":"hi"}}],"text":"so be it"}@@`;
  const ask = async (sessionId: string, shown: Pane, path: string): Promise<void> => {
    shown.type(write(path));
    shown.press('Enter');
    await shown.shows('allow this?');
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await eventsOf(world.daemon, sessionId)).some((e) => e.event === 'permission.request')).toBe(true);
  };

  test('[CT10] it starts, an answer streams in, and what another writer says stands there with their name', async () => {
    const id = await newSession();
    const shown = await open(id);
    expect(shown.fact('#{alternate_on}')).toBe('1');
    shown.type('count @@{"tokens":30,"tps":15}@@');
    shown.press('Enter');
    const early = await shown.shows('tok2');
    expect(early).not.toContain('tok29');
    await shown.shows(/\d+ tokens/);
    await asEve(id, 'hello from eve @@{"text":"and to you"}@@');
    await shown.shows(/^ {2}and to you$/m);
    expect(shown.screen()).toMatch(/● eve\n {2}hello from eve/);
  });

  test('[CT10] Alt+Enter and a paste make lines; Up brings back what was said; wide signs and emoji keep the frame', async () => {
    const id = await newSession();
    const shown = await open(id);
    shown.type('one');
    shown.press('M-Enter');
    shown.type('two');
    shown.paste('\nthree\nfour');
    await shown.shows(/› one\n {2}two\n {2}three\n {2}four/);
    shown.press('Enter');
    await shown.shows(/● \S+\n {2}one\n {2}two\n {2}three\n {2}four/);
    await shown.shows('ready');
    const joined = '👩‍🚀👨‍👩‍👧 🇩🇪 ✅ 你好 é \u202e\u001b[2J';
    await asEve(id, `signs @@${JSON.stringify({ text: `${joined}|` })}@@`);
    const text = await shown.shows('��[2J|');
    expect(text).toContain('👩👨 DE ✅ 你好 é ��[2J|');
    expect(text.split('\n')[0]).toMatch(/● connected $|● connected$/);
    shown.press('Up');
    await shown.shows(/› one\n {2}two/);
  });

  test('[CT3, CT10] a call that asks takes the place of the composer; y allows it, n denies it', async () => {
    const id = await newSession();
    const shown = await open(id);
    await ask(id, shown, 'by-key.txt');
    shown.press('y');
    await shown.shows(/^ {2}so be it$/m);
    expect(existsSync(join(world.daemon.home, 'by-key.txt'))).toBe(true);
    expect(shown.screen()).not.toContain('allow this?');
    await ask(id, shown, 'denied.txt');
    shown.press('n');
    await shown.shows(/denied write_file by person/);
    await shown.shows('ready');
    expect(existsSync(join(world.daemon.home, 'denied.txt'))).toBe(false);
  });

  test('[CT3, PM2] a card that somebody else decided goes away and says by whom; Esc puts one off, Tab brings it back', async () => {
    const id = await newSession();
    const shown = await open(id);
    await ask(id, shown, 'elsewhere.txt');
    shown.press('Escape');
    await shown.lacks('allow this?');
    shown.press('Tab');
    await shown.shows('allow this?');
    const request = (await eventsOf(world.daemon, id)).find((e) => e.event === 'permission.request');
    const requestId = request?.payload?.requestId;
    const body = { requestId, decision: 'allow', decidedBy: 'eve' };
    expect((await world.daemon.post(`/v3/sessions/${id}/permissions/${requestId}`, body)).status).toBe(200);
    await shown.shows('write_file: allowed by person:eve');
    await shown.lacks('allow this?');
  });

  test('[CT8] Ctrl+C cancels the turn that runs, and with none it leaves; the terminal is as it was', async () => {
    const id = await newSession();
    const shown = await open(id);
    shown.type('go on @@{"tokens":5000,"tps":30}@@');
    shown.press('Enter');
    await shown.shows('tok3');
    shown.press('C-c');
    await shown.shows(/^ {2}cancelled$/m);
    const end = (await eventsOf(world.daemon, id)).findLast((e) => e.event === 'turn.error');
    expect(end?.payload).toMatchObject({ outcome: 'cancelled' });
    shown.press('C-c');
    const after = await shown.shows('RC=0');
    expect(after).toContain('before');
    expect(after).toContain(`opta tui -r ${id}`);
    await shown.shows('icanon echo');
    expect(shown.fact('#{alternate_on} #{cursor_flag}')).toBe('0 1');
  });

  test.each([
    ['SIGTERM', 130],
    ['SIGHUP', 130],
    ['SIGUSR2', 1],
  ] as const)('[CT11] the terminal is restored after %s (the last one makes it throw)', async (signal, code) => {
    const id = await newSession();
    const thrower = "process.on('SIGUSR2',()=>{throw new Error('made to fail')})";
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(thrower)}` };
    const shown = await open(id, { env });
    process.kill(shown.pid(), signal);
    const after = await shown.shows(`RC=${code}`);
    if (code === 1) expect(after).toContain('made to fail');
    await shown.shows('icanon echo');
    expect(shown.fact('#{alternate_on} #{cursor_flag}')).toBe('0 1');
  });

  test('[CT11] it follows the size of the terminal down to 20 by 5 and below, and back', async () => {
    const id = await newSession();
    const shown = await open(id, { columns: 20, rows: 5 });
    await asEve(id, 'many words in one long line @@{"tokens":60}@@');
    await shown.shows('60 tokens');
    for (const [columns, rows] of [
      [5, 2],
      [2, 1],
      [120, 40],
    ] as const) {
      shown.resize(columns, rows);
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    const wide = await shown.shows('● connected');
    expect(wide).toMatch(/● eve\n {2}many words in one long line/);
    shown.resize(80, 24);
    await shown.shows('F1 help');
    shown.press('F1');
    await shown.shows('Alt+Enter');
    shown.press('Escape');
    await shown.lacks('Alt+Enter');
    shown.press('C-o');
    await shown.shows('Enter opens');
  });

  test('[CT11] when the daemon dies it says so, and goes on with the one that comes after it', async () => {
    const own = await startDaemon(world.lmx.port);
    const pidNow = (): number => JSON.parse(readFileSync(join(own.home, 'daemon', 'state.json'), 'utf8')).pid;
    const first = pidNow();
    try {
      pane = openPane(own.home, ['tui'], { env: { OPTA_PORT: String(world.lmx.port), OPTA_ENGINE: 'lmx' } });
      await pane.shows('● connected');
      pane.type('first @@{"text":"was heard"}@@');
      pane.press('Enter');
      await pane.shows(/^ {2}was heard$/m);
      process.kill(first, 'SIGKILL');
      await pane.shows('connection lost');
      pane.type('second @@{"text":"heard again"}@@');
      pane.press('Enter');
      // It starts a daemon for whoever speaks to it.
      await pane.shows(/^ {2}heard again$/m, 40_000);
      expect(pane.screen()).toMatch(/^ {2}was heard$/m);
      expect(pane.screen()).toContain('● connected');
      pane.type('/status');
      pane.press('Enter');
      await pane.shows('workspace');
    } finally {
      pane.close();
      const last = pidNow();
      for (const pid of new Set([first, last])) if (isAlive(pid)) process.kill(pid, 'SIGTERM');
      await until(() => !isAlive(last), 'the daemons to end', 20_000);
      removeDir(own.home);
    }
  });
});
