import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { aWorld, eventsOf, turn } from '../compat/world.ts';
import { hasTmux, openPane, type Pane } from '../support/tmux.ts';

/** `opta chat` by lines, at a real terminal. */
describe.runIf(hasTmux)('at a terminal', { timeout: 90_000 }, () => {
  const world = aWorld({}, {});
  let pane: Pane;
  afterEach(() => pane?.close());

  let sessions = 0;
  const open = async (...args: string[]): Promise<string> => {
    sessions += 1;
    const sessionId = `lines-${sessions}`;
    await world.daemon.post('/v3/sessions', { sessionId, metadata: { workspace: world.daemon.home } });
    const env = { VISUAL: join(world.daemon.home, 'ed.sh') };
    pane = openPane(world.daemon.home, ['chat', '--session', sessionId, ...args], { columns: 100, rows: 30, env });
    await pane.shows('opta›');
    return sessionId;
  };
  const say = (text: string): void => {
    pane.type(text);
    pane.press('Enter');
  };
  const writes = (path: string): string =>
    `w @@{"tools":[{"name":"write_file","args":{"path":"${path}","content":"hi"}}],"text":"so be it"}@@`;
  const asEve = (sessionId: string, content: string) =>
    world.daemon.post(`/v3/sessions/${sessionId}/turns`, { ...turn(content), writerId: 'eve' });

  test('[CT3] it asks, y allows; what was typed before the question is no answer to it', async () => {
    await open();
    say(writes('a.txt'));
    await pane.shows('[y/N]');
    say('y');
    await pane.shows(/^so be it$/m);
    expect(existsSync(join(world.daemon.home, 'a.txt'))).toBe(true);
    say(`${writes('b.txt').replace('@@{', '@@{"delayMs":5000,')}`);
    await pane.shows(/b\.txt/);
    pane.type('y');
    await pane.shows(/\[y\/N\] *$/m);
    pane.press('Enter');
    await pane.shows(/denied write_file/);
    expect(existsSync(join(world.daemon.home, 'b.txt'))).toBe(false);
  });

  test('[CT3, PM6] a allows the tool for the session: the next call runs without a question', async () => {
    const id = await open();
    say(writes('always.txt'));
    await pane.shows('a = always');
    say('a');
    await pane.shows(/^so be it$/m);
    say(writes('always-2.txt').replace('so be it', 'and so be that'));
    await pane.shows(/^and so be that$/m);
    expect(existsSync(join(world.daemon.home, 'always-2.txt'))).toBe(true);
    const events = await eventsOf(world.daemon, id);
    expect(events.filter((e) => e.event === 'permission.request')).toHaveLength(1);
  });

  test('[CT3, PM7] a question is answered by a line, a number takes an option, and /answer serves what others are asked', async () => {
    const id = await open();
    const ask = (question: string): string =>
      `w @@{"tools":[{"name":"ask_user","args":{"question":"${question}","options":["red","green"]}}],"text":"${question} done"}@@`;
    say(ask('Colour?'));
    await pane.shows('2. green');
    say('2');
    await pane.shows(/^Colour\? done$/m);
    say(ask('Shade?'));
    await pane.shows(/Shade\?[\s\S]*Answer: /);
    say('rather dark');
    await pane.shows(/^Shade\? done$/m);
    await asEve(id, ask('Size?'));
    await pane.shows('/answer or /deny');
    say('/answer 1');
    await pane.shows('(answer to eve)');
    const ends = (await eventsOf(world.daemon, id)).filter((e) => e.event === 'tool.end');
    expect(ends.map((e) => e.payload?.result)).toEqual(['green', 'rather dark', 'red']);
  });

  test('[CX5, CT8] /cancel call ends the call that asks, and the turn goes on', async () => {
    const id = await open();
    await asEve(id, writes('never.txt'));
    await pane.shows('/allow or /deny');
    say('/cancel call');
    await pane.shows('Cancelled write_file.');
    await pane.shows('(answer to eve)');
    say('/cancel call');
    await pane.shows('No call runs or asks now.');
    expect(existsSync(join(world.daemon.home, 'never.txt'))).toBe(false);
    const resolved = (await eventsOf(world.daemon, id)).find((e) => e.event === 'permission.resolved');
    expect(resolved?.payload).toMatchObject({ reason: 'cancelled', cancelledBy: expect.stringMatching(/^person:/) });
  });

  test('[CT3, CT7] others ask while a line is being typed: it stays, /allow decides, and a decision elsewhere is told', async () => {
    const id = await open();
    pane.type('half a li');
    await asEve(id, writes('c.txt'));
    await pane.shows('/allow or /deny');
    await pane.shows(/› half a li$/m);
    pane.press('C-c');
    say('/allow');
    await pane.shows(/allowed write_file by person/);
    expect(await pane.shows('(answer to eve)')).not.toContain('[y/N]');
    expect(existsSync(join(world.daemon.home, 'c.txt'))).toBe(true);
    say(writes('d.txt'));
    await pane.shows('[y/N]');
    const request = (await eventsOf(world.daemon, id)).findLast((e) => e.event === 'permission.request');
    const body = { requestId: request?.payload?.requestId, decision: 'deny', decidedBy: 'eve' };
    await world.daemon.post(`/v3/sessions/${id}/permissions/${request?.payload?.requestId}`, body);
    await pane.shows('(decided elsewhere)');
    await pane.shows('denied write_file by person:eve');
    await pane.shows(/opta› *$/m);
  });

  test('[CT8] Ctrl-C cancels the turn that runs, gives a line up, and leaves at an empty prompt', async () => {
    const id = await open();
    say('go on @@{"tokens":5000,"tps":20}@@');
    await pane.shows('tok3');
    pane.press('C-c');
    await pane.shows('Turn cancelled');
    const end = (await eventsOf(world.daemon, id)).findLast((e) => e.event === 'turn.error');
    expect(end?.payload).toMatchObject({ outcome: 'cancelled' });
    pane.type('not this');
    pane.press('C-c');
    await pane.lacks('not this');
    pane.press('C-c');
    await pane.shows('RC=0');
    await pane.shows('icanon echo');
  });

  test('[CT6] ! runs a line in the shell, at most for its time and never longer than the person wants', async () => {
    await open();
    say('!echo "from the $((40+2)) shell" >&2; exit 3');
    await pane.shows('from the 42 shell');
    await pane.shows('exit code 3');
    const mark = join(world.daemon.home, 'late.txt');
    say(`!(sleep 4; touch ${mark}) & sleep 60`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    pane.press('C-c');
    await pane.shows('interrupted');
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    expect(existsSync(mark)).toBe(false);
  });

  test('[CT1, CT5] a pasted text is one message; /editor lends the terminal, and sends what was written', async () => {
    await open();
    pane.paste('line one\nline two @@{"text":"heard both"}@@');
    pane.press('Enter');
    await pane.shows(/^heard both$/m);
    const said = world.lmx.requests.at(-1)?.body.messages?.findLast((m) => m.role === 'user')?.content;
    expect(said).toBe('line one\nline two @@{"text":"heard both"}@@');
    const editor = '#!/bin/sh\ntest -t 0 && echo \'from the editor @@{"text":"heard it too"}@@\' > "$1"\n';
    writeFileSync(join(world.daemon.home, 'ed.sh'), editor, { mode: 0o755 });
    say('/editor a beginning');
    await pane.shows(/^heard it too$/m);
    say('/statsu');
    await pane.shows('did you mean /status or /stats?');
    pane.press('C-d');
    await pane.shows('RC=0');
  });
});
