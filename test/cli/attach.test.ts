import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { aTerminalWorld, opened } from '../screens/terminal-world.ts';
import { CLI_COMMAND } from '../support/cli.ts';
import { hasVt, openVt, TTY_AS_AT_FIRST, VT_MISSING, type Vt, type VtOptions } from '../support/vt.ts';

/** The ways in, at a real terminal. */
describe.runIf(hasVt)(`ways into the full screen${VT_MISSING}`, { timeout: 90_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt;
  afterEach(() => vt?.close());

  const create = async (sessionId: string, title: string, workspace: string): Promise<void> => {
    const body = { sessionId, title, metadata: { workspace } };
    expect((await world.daemon.post('/v3/sessions', body)).status).toBe(201);
  };
  const folder = (name: string): string => {
    const path = join(world.daemon.home, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const run = (args: readonly string[], options: VtOptions = {}): Vt => {
    vt = openVt(world.daemon.home, args, options);
    return vt;
  };
  const expectLeft = async (code: number): Promise<void> => {
    await vt.shows(`RC=${code}`);
    await vt.shows(TTY_AS_AT_FIRST);
    expect(vt.alternate).toBe(false);
    expect(vt.leftOver()).toEqual([]);
  };

  beforeAll(async () => {
    await create('garden-older', 'roses and moss', folder('garden'));
    await create('garden-newer', 'moss alone', folder('garden'));
    await create('meadow-one', 'clover', folder('meadow'));
    await create('meadow-gone', 'nettles', folder('meadow'));
    const away = await world.daemon.authed({ method: 'DELETE', path: '/v3/sessions/meadow-gone' });
    expect(away.status).toBe(200);
  });

  test.each([
    { args: ['attach', 'meadow-one'], title: 'clover' },
    { args: ['attach', 'meado'], title: 'clover' },
    { args: ['attach', 'roses'], title: 'roses and moss' },
    { args: ['attach'], title: 'moss alone', cwd: 'garden' },
    { args: ['tui', '-r', 'clover'], title: 'clover' },
    { args: ['chat', '--tui', '--session', 'garden-older'], title: 'roses and moss' },
  ])('[CT4, CT9] opta $args shows $title', async ({ args, title, cwd }) => {
    run(args, cwd === undefined ? {} : { cwd: folder(cwd) });
    await opened(vt);
    await vt.shows(new RegExp(`^ opta · ${title}`));
    vt.press('C-d');
    await expectLeft(0);
  });

  test('[CT4, CT9] opta attach takes the session of this folder that runs before one that is newer', async () => {
    await world.say('garden-older', world.prompt({ tokens: 3_000, tps: 20 }));
    run(['attach'], { cwd: folder('garden') });
    await opened(vt);
    await vt.shows(/^ opta · roses and moss/);
    await vt.shows('tok3');
    vt.press('C-d');
    await expectLeft(0);
    await world.daemon.post('/v3/sessions/garden-older/cancel', { writerId: 'eve' });
  });

  test('[CT9] opta alone is a new session in the full screen', async () => {
    run([]);
    await opened(vt);
    await vt.shows('Say something, or /help');
    vt.press('C-d');
    await expectLeft(0);
  });

  test.each([
    ['attach', 'moss'],
    ['tui', '-r', 'moss'],
  ])('[CT4] opta %s %s: of several, the person chooses', async (...args) => {
    run(args.filter((arg) => arg !== undefined));
    await vt.until(() => vt.alternate, 'the list');
    await vt.shows('roses and moss');
    await vt.shows('moss alone');
    vt.type('/roses');
    await vt.shows(/\/ roses[^\n]*\n[^\n]*roses and moss/);
    vt.press('Enter');
    await vt.shows(/^ opta · roses and moss/);
    await vt.shows('connected');
    vt.press('C-d');
    await expectLeft(0);
  });

  test.each(['Escape', 'C-c', 'q'])('[CT4, CT11] %s leaves the list, and nothing was opened', async (key) => {
    run(['attach', 'moss']);
    await vt.shows('moss alone');
    vt.press(key);
    await expectLeft(130);
    expect(vt.screen()).toContain('No session was chosen');
  });

  test('[CT9] a terminal that can draw no screen has a conversation by lines', async () => {
    run(['tui', '--session', 'meadow-one'], { command: ['env', 'TERM=dumb', ...CLI_COMMAND] });
    await vt.shows('opta›');
    vt.type(`${world.prompt({ text: 'the first answer' })}\r`);
    await vt.shows('the first answer');
    vt.type(`${world.prompt({ text: 'the second answer' })}\r`);
    await vt.shows('the second answer');
    expect(vt.alternate).toBe(false);
    vt.press('C-d');
    await expectLeft(0);
  });

  test('[CT4] what there is not is said in a line, with its code', async () => {
    run(['attach', 'nobody-here']);
    await expectLeft(127);
    expect(vt.screen()).toContain('Session not found: nobody-here');
    vt.close();
    run(['attach'], { cwd: folder('nothing-here') });
    await expectLeft(127);
    expect(vt.screen()).toContain('No session of this folder');
  });

  test.each([
    ['attach', 'meadow-gone'],
    ['tui', '-r', 'meadow-gone'],
  ])('[CT4] opta %s %s: one that was put away is not opened, and it is said what brings it back', async (...args) => {
    run(args.filter((arg) => arg !== undefined));
    await expectLeft(127);
    expect(vt.screen()).toContain('opta sessions undelete meadow-gone');
  });
});
