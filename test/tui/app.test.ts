import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { OptaError } from '../../src/protocol/errors.ts';
import type { SessionLine } from '../../src/tui/host.ts';
import { type AppScreen, aScreen, FakeLink, settled, somebody } from './app-world.ts';
import { STEERS, Talk } from './talk.ts';

let on: AppScreen;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-01-01T00:00:10.000Z') });
  on = aScreen();
  on.link.talk.at = '2026-01-01T00:00:10.000Z';
});
afterEach(() => {
  on.app.close();
  vi.useRealTimers();
});

const again = (...args: Parameters<typeof aScreen>): void => {
  on.app.close();
  on = aScreen(...args);
  for (const { talk } of on.links) talk.at = '2026-01-01T00:00:10.000Z';
};
const asks = (...more: Parameters<Talk['asks']> | []): string => {
  if (on.link.talk.now.active === null) on.link.talk.begin('do it', 'eve');
  const [name = 'run_command', summary = 'Run make', rest = {}] = more;
  return on.link.talk.asks(name, summary, rest);
};
/** Past the time in which a key decides nothing. */
const grace = (): void => void vi.advanceTimersByTime(400);

describe('a card', () => {
  test('[CT3, TM3] y, n, a and w decide it; a is for the rest of the session, w for the folder', () => {
    for (const [sign, decision, more] of [
      ['y', 'allow', {}],
      ['n', 'deny', {}],
      ['a', 'allow', { remember: 'session' }],
      ['w', 'allow', { remember: 'workspace' }],
    ] as const) {
      again();
      const id = asks();
      expect(on.screen()).toContain('always: a in this session, w in this folder');
      grace();
      on.type(sign);
      expect(on.link.asked).toEqual([['decide', id, decision, more]]);
      expect(on.screen()).not.toContain('allow this?');
    }
  });

  test('[CT3] a key that was on its way when it came up decides nothing, and is no text either', () => {
    asks();
    vi.advanceTimersByTime(399);
    on.type('y');
    expect(on.link.asked).toEqual([]);
    // Who is writing does not stop at once: such a key makes the time begin anew.
    vi.advanceTimersByTime(399);
    on.type('y');
    expect(on.link.asked).toEqual([]);
    vi.advanceTimersByTime(400);
    on.type('y');
    expect(on.link.asked).toHaveLength(1);
    expect(on.screen()).not.toMatch(/› y/);
  });

  test('[CT3] Esc puts it off, Tab brings it back, and that is a card that came up just now', () => {
    asks();
    grace();
    on.key('escape');
    expect(on.screen()).not.toContain('allow this?');
    expect(on.screen()).toContain('(Tab shows it)');
    on.type('y');
    expect(on.screen()).toMatch(/› y/);
    on.key('tab');
    on.type('y');
    expect(on.screen()).toContain('allow this?');
    expect(on.link.asked).toEqual([]);
  });

  test('[CT3, PM2] decided elsewhere it goes, and it is said by whom', () => {
    const id = asks();
    on.link.talk.decides(id, 'person:eve');
    expect(on.screen()).toContain('run_command: allowed by person:eve');
    expect(on.screen()).not.toContain('allow this?');
  });

  test('[CT3, PM2] an answer that came second says who was first', async () => {
    asks();
    grace();
    on.link.fails = new OptaError('permission-resolved', 'It is decided', { decidedBy: 'person:bob' });
    on.type('y');
    await settled();
    expect(on.screen()).toContain('run_command: person:bob was first');
  });

  test('[CT3] the end of a long command is reached, and what is not shown is counted', () => {
    const preview = [...Array.from({ length: 60 }, (_, i) => `echo ${i}`), 'rm -rf the-end'].join('\n');
    asks('run_command', 'Run a script', { preview });
    expect(on.screen()).toMatch(/\d+ more lines below/);
    for (let i = 0; i < 20; i++) on.key('pagedown');
    expect(on.screen()).toContain('rm -rf the-end');
    expect(on.screen()).toMatch(/\d+ above/);
  });

  test('[CT3] the next one begins at its first line, whoever or whatever took the last away', () => {
    const long = (name: string): string => Array.from({ length: 60 }, (_, i) => `echo ${name} ${i}`).join('\n');
    const { talk } = on.link;
    const scrolled = (): string => {
      const id = asks('run_command', 'Run a script', { preview: long('first') });
      for (let i = 0; i < 4; i++) on.key('pagedown');
      expect(on.screen()).not.toContain('echo first 0');
      return id;
    };
    const next = (): void => {
      asks('run_command', 'Run a script', { preview: long('next') });
      expect(on.screen()).toContain('echo next 0');
    };
    talk.decides(scrolled(), 'person:eve');
    next();
    again();
    scrolled();
    on.link.talk.ends();
    next();
    again();
    scrolled();
    on.key('escape');
    next();
  });

  test('[CT3, CT11] on a small screen what is hidden is counted, and the keys fit the width', () => {
    const preview = Array.from({ length: 5 }, (_, i) => `echo ${i}`).join('\n');
    again({}, { width: 30, height: 5 });
    asks('run_command', 'Run a script', { preview });
    expect(on.screen().split('\n')[3]).toBe(' 60 s +5↓  y/n/a/w Esc');
    on.key('down');
    expect(on.screen()).toMatch(/echo 0\n 60 s \+4↓/);
    for (let i = 0; i < 9; i++) on.key('down');
    expect(on.screen()).toMatch(/echo 4\n 60 s \+5↑/);
    again({}, { width: 12, height: 4 });
    asks('run_command', 'Run a script', { preview });
    expect(on.screen()).toMatch(/^\+\d+↓ ?y\/n\/a/m);
    again({}, { width: 64, height: 24 });
    asks();
    expect(on.screen()).toContain(' 60 s   y allow  n deny  always: a session, w folder  Esc later');
    again({}, { width: 59, height: 24 });
    asks();
    expect(on.screen()).toMatch(/^ 60 s {2}y\/n\/a\/w Esc$/m);
  });

  test('[CT3, PM7] a question is answered by a number, by words, or declined', () => {
    const question = { text: 'Which colour?', options: ['red', 'blue'] };
    const answers: unknown[] = [];
    const words = (): void => {
      on.type('mauve 2');
      on.key('return');
    };
    for (const answer of [() => on.type('2'), words, () => on.alt('n')]) {
      again();
      asks('ask_user', 'asks', { question });
      expect(on.screen()).toContain('Which colour?');
      grace();
      answer();
      answers.push(on.link.asked.at(-1));
    }
    expect(answers).toEqual([
      ['decide', 'r1', 'allow', { answer: 'blue' }],
      ['decide', 'r1', 'allow', { answer: 'mauve 2' }],
      ['decide', 'r1', 'deny', {}],
    ]);
  });

  test('[TM4] it rings once; the cards of a log that is read do not, nor one that is too late', () => {
    const history = new Talk();
    for (let i = 0; i < 50; i++) {
      history.begin('long ago', 'eve');
      history.decides(history.asks('run_command', 'Run x', { forMs: -1_000 }), 'person:eve');
      history.ends();
    }
    again({ open: () => new FakeLink('s1', history) as never });
    // The same again, event by event, as an attachment from the start does it.
    for (let i = 0; i < 50; i++) {
      history.begin('again', 'eve');
      history.decides(history.asks('run_command', 'Run x'), 'person:eve');
      history.ends();
    }
    on.screen();
    expect(on.canvas.bells).toBe(0);
    history.begin('now', 'eve');
    history.asks('run_command', 'Run late', { forMs: -1 });
    on.screen();
    expect(on.canvas.bells).toBe(0);
    history.asks('run_command', 'Run make');
    on.screen();
    on.screen();
    expect(on.canvas.titles.at(-1)).toMatch(/^opta · \? /);
    on.key('escape');
    expect(on.canvas.titles.at(-1)).not.toContain('?');
    on.key('tab');
    expect(on.canvas.bells).toBe(1);
  });
});

describe('a bell', () => {
  test('[TM4] a card that was put off comes back without one, also behind others', () => {
    const { talk } = on.link;
    const turnId = talk.begin('do both', 'eve');
    const calls = ['c1', 'c2'].map((id) => ({ id, name: 'run_command', args: '{}' }));
    talk.happens('turn.progress', { turnId, phase: 'model.response', message: null, provider: null, step: 1, calls });
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    for (const { id, name } of calls) {
      const asked = { requestId: `of-${id}`, callId: id, toolName: name, args: {}, summary: 'Run make', expiresAt };
      talk.happens('permission.request', { turnId, ...asked });
    }
    on.screen();
    on.key('escape');
    expect(on.canvas.bells).toBe(2);
    talk.decides('of-c2', 'person:eve');
    on.key('tab');
    expect(on.screen()).toContain('allow this?');
    expect(on.canvas.bells).toBe(2);
  });
});

describe('lists', () => {
  const line = (id: string, more: Partial<SessionLine> = {}): SessionLine => ({
    id,
    title: `about ${id}`,
    detail: '2026-01-01',
    words: '',
    live: false,
    asks: 0,
    ...more,
  });
  const three = [line('one'), line('two', { live: true }), line('three', { asks: 2 })];
  const sessions = async (lines = three): Promise<void> => {
    on.offer(lines);
    on.ctrl('o');
    await settled();
  };

  test('[TM3] of sessions: which runs, which asks; Enter opens one and leaves the other', async () => {
    await sessions();
    expect(on.screen()).toMatch(/● about two/);
    expect(on.screen()).toMatch(/\? about three .*asks for 2 decisions/);
    on.type('j');
    const [first] = on.links;
    on.key('return');
    expect(on.link.sessionId).toBe('two');
    expect(first?.closed).toBe(true);
    expect(on.screen()).not.toContain('about three');
  });

  test('[TM3] / looks for one, d puts it away after a y, n begins one', async () => {
    await sessions();
    on.type('/thr');
    expect(on.screen()).toContain('about three');
    expect(on.screen()).not.toContain('about two');
    on.key('return');
    expect(on.link.sessionId).toBe('three');
    await sessions();
    on.type('jdn');
    on.type('dy');
    await settled();
    expect(on.done).toEqual([['remove', 'two']]);
    on.type('n');
    await settled();
    expect(on.link.sessionId).toBe('fresh');
  });

  test('[TM3] it follows what others do; what is chosen stays chosen, wherever it stands now', async () => {
    await sessions();
    on.type('j');
    on.offer([line('newest'), ...three]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(on.screen()).toContain('about newest');
    on.type('dy');
    await settled();
    expect(on.done).toEqual([['remove', 'two']]);
    on.key('escape');
    const frames = on.canvas.frames;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(on.canvas.frames).toBeLessThan(frames + 3);
  });

  test('[TM3] of everything that can be done: letters find an action or a command', async () => {
    on.ctrl('k');
    await settled();
    on.type('plan');
    on.key('return');
    expect(on.screen()).toMatch(/^ opta · plan/);
    on.ctrl('k');
    await settled();
    on.type('status');
    on.key('return');
    expect(on.screen()).toMatch(/› \/status/);
  });

  test('[TM3] of models: the chosen one is the session’s', async () => {
    on.ctrl('g');
    await settled();
    on.type('lar');
    on.key('return');
    await settled();
    expect(on.done).toEqual([['model', 'large']]);
    expect(on.screen()).toContain('model: large');
  });

  test('[CT7, TM3] of what waits: authors and places; one’s own is taken back or changed, another’s is not', async () => {
    const { talk } = on.link;
    talk.begin('first', 'eve');
    talk.queue('hers', 'eve');
    const mine = talk.queue('mine', 'ada');
    on.alt('q');
    await settled();
    expect(on.screen()).toMatch(/1\. eve: hers[\s\S]*2\. ada: mine/);
    on.type('x');
    expect(on.screen()).toContain("it is eve's");
    on.type('jx');
    await settled();
    expect(on.done).toEqual([
      ['call', 'queue.withdraw', { params: { id: 's1', turnId: mine }, query: { writerId: 'ada' } }],
    ]);
    talk.drops(mine);
    const other = talk.queue('later', 'ada');
    await vi.advanceTimersByTimeAsync(500);
    expect(on.screen()).not.toContain('mine');
    on.type('je');
    expect(on.screen()).toMatch(/› later/);
    on.type('!');
    on.key('return');
    await settled();
    expect(on.done.at(-1)).toEqual([
      'call',
      'queue.edit',
      { params: { id: 's1', turnId: other }, body: { writerId: 'ada', content: 'later!' } },
    ]);
    expect(on.link.asked).toEqual([]);
  });

  test('[TM3] a paste goes into what is looked for, without its line ends; where letters are keys it is nobody’s', async () => {
    await sessions();
    on.app.paste('y');
    on.type('d');
    expect(on.done).toEqual([]);
    on.key('escape');
    on.type('/');
    on.app.paste('th\r\nre\n');
    expect(on.screen()).toContain('/ thre▏');
    expect(on.screen()).toContain('about three');
    expect(on.screen()).not.toContain('about two');
    on.key('escape');
    on.key('escape');
    on.key('escape');
    expect(on.screen()).not.toContain('thre▏');
    expect(on.screen()).toMatch(/› *$/m);
    on.app.paste('into the prompt');
    expect(on.screen()).toContain('› into the prompt');
  });

  test('[TM4, CT7] the list of what waits follows the session at once', async () => {
    const { talk } = on.link;
    talk.begin('first', 'eve');
    const gone = talk.queue('goes soon', 'eve');
    talk.queue('stays', 'ada');
    on.alt('q');
    await settled();
    expect(on.screen()).toMatch(/1\. eve: goes soon[\s\S]*2\. ada: stays/);
    on.type('j');
    talk.drops(gone);
    talk.queue('arrives', 'bob');
    await vi.advanceTimersByTimeAsync(50);
    expect(on.screen()).toMatch(/1\. ada: stays[\s\S]*2\. bob: arrives/);
    expect(on.screen()).not.toContain('goes soon');
    on.type('e');
    expect(on.screen()).toMatch(/› stays/);
  });

  test('[TM4] a list that came late does not take the place of a newer one', async () => {
    const answers: ((lines: readonly SessionLine[]) => void)[] = [];
    again({ sessions: () => new Promise((resolve) => answers.push(resolve)) });
    on.ctrl('o');
    answers[0]?.(three);
    await settled();
    await vi.advanceTimersByTimeAsync(2_000);
    // The old look is on its way when something is put away, which looks anew.
    on.type('jdy');
    await settled();
    expect(answers).toHaveLength(3);
    answers[2]?.([line('one')]);
    await settled();
    answers[1]?.(three);
    await settled();
    expect(on.screen()).toContain('about one');
    expect(on.screen()).not.toContain('about two');
  });

  test('[TM3, CT10] a title that would steer the terminal or is long asks harmlessly whether it is to be put away', async () => {
    await sessions([line('one', { title: `\u001b[2J\u202eevil\n${'long '.repeat(200)}` })]);
    on.type('d');
    const [[text = ''] = []] = on.row('puts it away, any') ?? [];
    expect(text).toContain('evil');
    expect(text).not.toMatch(STEERS);
    expect(text.length).toBeLessThanOrEqual(110);
    again({}, { width: 40, height: 24 });
    await sessions([line('one', { title: 'long '.repeat(200) })]);
    on.type('d');
    expect(on.screen()).toContain(' y puts it away, any other key leaves');
  });

  test('[TM3] of who is attached', async () => {
    on.link.view.note({ presence: [somebody('ada'), somebody('eve', { role: 'observer', lag: 3 })] });
    on.alt('p');
    await settled();
    expect(on.screen()).toMatch(/eve, looks on .*tui-eve ws since 10:11:12 3 behind/);
    on.link.view.note({ presence: [somebody('ada')] });
    await vi.advanceTimersByTimeAsync(500);
    expect(on.screen()).not.toContain('eve, looks on');
  });
});

describe('keys', () => {
  test('[CT8] Ctrl+C ends one’s own turn, then closes what is open, then leaves', async () => {
    let left = false;
    void on.app.left.then(() => {
      left = true;
    });
    on.key('f1');
    const turnId = on.link.talk.begin('mine', 'ada');
    on.ctrl('c');
    expect(on.link.asked).toEqual([['cancel', { turnId }]]);
    expect(on.screen()).toContain('these keys');
    on.link.talk.ends();
    on.ctrl('c');
    expect(on.screen()).not.toContain('these keys');
    await settled();
    expect(left).toBe(false);
    on.ctrl('c');
    await settled();
    expect(left).toBe(true);
  });

  test('[CT8] another’s turn is not ended by it', async () => {
    on.link.talk.begin('hers', 'eve');
    on.ctrl('c');
    await expect(on.app.left).resolves.toBeUndefined();
    expect(on.link.asked).toEqual([]);
  });

  const hasLeft = async (): Promise<boolean> => {
    await settled();
    return Promise.race([on.app.left.then(() => true), settled().then(() => false)]);
  };

  test('[CT8] a command that does not listen to Ctrl+C holds nobody: the second one leaves', async () => {
    let signal: AbortSignal | undefined;
    again({
      command: (_, room) => {
        signal = room.signal;
        return new Promise(() => undefined);
      },
    });
    on.type('/slow');
    on.key('return');
    on.ctrl('c');
    expect(signal?.aborted).toBe(true);
    expect(await hasLeft()).toBe(false);
    // Much later it is a first one again.
    vi.advanceTimersByTime(3_000);
    on.ctrl('c');
    expect(await hasLeft()).toBe(false);
    vi.advanceTimersByTime(2_999);
    on.ctrl('c');
    expect(await hasLeft()).toBe(true);
  });

  test('[CT8] a turn of a daemon that is gone holds nobody; what waits behind one that ended is ended first', async () => {
    const { talk } = on.link;
    const turnId = talk.begin('mine', 'ada');
    const waits = talk.queue('later', 'ada');
    on.ctrl('c');
    talk.ends();
    on.ctrl('c');
    expect(on.link.asked).toEqual([
      ['cancel', { turnId }],
      ['cancel', { turnId: waits }],
    ]);
    expect(await hasLeft()).toBe(false);
    on.link.view.note({ connection: 'waiting' });
    on.ctrl('c');
    expect(await hasLeft()).toBe(true);
    expect(on.link.asked).toHaveLength(2);
  });

  test('[CX5] Alt+C ends the call that runs, and no more', () => {
    const turnId = on.link.talk.begin('hers', 'eve');
    const callId = on.link.talk.calls('run_command', { command: 'sleep 9' });
    on.alt('c');
    expect(on.link.asked).toEqual([['cancel', { turnId, callId }]]);
  });

  test('[CT10] what was not taken comes back to the prompt; what is written meanwhile is not overwritten', async () => {
    on.link.fails = new OptaError('queue-full', 'The queue is full');
    on.type('keep me');
    on.key('return');
    await settled();
    expect(on.screen()).toMatch(/› keep me/);
    expect(on.screen()).toContain('The queue is full');
    on.key('return');
    on.type('next');
    await settled();
    expect(on.screen()).toMatch(/› next/);
    expect(on.screen()).not.toMatch(/› .*keep me/);
  });

  test('[CT11] a lost daemon is told with its key, which starts one and looks at once; the draft stays', async () => {
    on.type('a draft');
    on.link.state = 'waiting';
    on.link.view.note({ connection: 'waiting' });
    vi.advanceTimersByTime(3_000);
    expect(on.screen()).toMatch(/does not answer since 3 s.*Ctrl\+R/);
    on.ctrl('r');
    await settled();
    expect(on.done).toEqual([['revive']]);
    expect(on.link.asked).toEqual([['wake']]);
    on.link.view.note({ connection: 'open' });
    expect(on.screen()).not.toContain('does not answer');
    expect(on.screen()).toMatch(/› a draft/);
  });

  test('[TM3] Ctrl+T opens what the model thinks, and folds it', () => {
    on.link.talk.begin('why', 'eve');
    on.link.talk.says('deep thoughts of old', 'turn.thinking');
    on.link.talk.says('answer');
    expect(on.screen()).toContain('▸ thought');
    on.ctrl('t');
    expect(on.screen()).toMatch(/▾ thought\n {4}deep thoughts of old/);
    on.ctrl('t');
    expect(on.screen()).toContain('▸ thought');
  });

  test('[TM3] keys of a file count, and what is wrong with them is said', () => {
    again({ keys: { overrides: { help: { key: 'f2' } }, notes: [] } });
    on.key('f1');
    expect(on.screen()).not.toContain('these keys');
    on.key('f2');
    expect(on.screen()).toContain('these keys');
    on.key('escape');
    again({ keys: { overrides: { nonsense: { key: 'f3' } }, notes: ['the file is odd'] } });
    expect(on.screen()).toMatch(/the file is odd[\s\S]*no action nonsense/);
    on.key('escape');
    expect(on.screen()).not.toContain('the file is odd');
    again({ keys: { overrides: { nonsense: { key: 'f3' } }, notes: [] } });
    expect(on.screen().split('\n').at(-1)).toContain('no action nonsense');
  });
});

describe('what is shown', () => {
  test('[TM3] rights that are widened are loud', () => {
    on.become('dangerous');
    expect(on.screen()).toMatch(/^ opta · ! DANGEROUS/);
  });

  test('[CT10] a session that was put away says so above, until it is brought back', () => {
    const { talk } = on.link;
    talk.happens('session.updated', { change: { kind: 'deleted', at: talk.at } });
    expect(on.screen()).toMatch(/^ opta · PUT AWAY/);
    talk.happens('session.updated', { change: { kind: 'restored' } });
    expect(on.screen()).not.toContain('PUT AWAY');
  });

  test('[CT10] a blank column stands before the one at the side', () => {
    on.link.talk.begin('w'.repeat(500), 'eve');
    on.ctrl('b');
    const rows = on.screen().split('\n').slice(1, -1);
    expect(rows.some((row) => row.includes('www'))).toBe(true);
    for (const row of rows) expect(row.slice(61, 63)).toBe(' │');
  });

  test('[CT7] the column at the side has who is here and what waits; below 80 columns it gives way', () => {
    on.link.view.note({ presence: [somebody('ada'), somebody('eve')] });
    on.link.talk.begin('a', 'eve');
    on.link.talk.queue('next', 'bob');
    on.ctrl('b');
    expect(on.screen()).toMatch(/│ WAITING \(1\)[\s\S]*│ 1\. bob: next[\s\S]*│ ATTACHED \(2\)/);
    again({}, { width: 79, height: 24 });
    on.ctrl('b');
    expect(on.screen()).not.toContain('│ SESSION');
  });

  test('[CT10] streams are drawn at most forty times a second, a key at once', async () => {
    on.link.talk.begin('go', 'eve');
    await vi.advanceTimersByTimeAsync(1_000);
    const before = on.canvas.frames;
    for (let ms = 0; ms < 1_000; ms += 2) {
      on.link.talk.says('word ');
      await vi.advanceTimersByTimeAsync(2);
    }
    const streamed = on.canvas.frames - before;
    expect(streamed).toBeGreaterThan(20);
    expect(streamed).toBeLessThanOrEqual(41);
    on.type('x');
    expect(on.canvas.frames - before).toBe(streamed + 1);
  });

  test('[CT11] from 1 by 1 up nothing breaks, whatever is open', async () => {
    for (const [width, height] of [
      [1, 1],
      [3, 2],
      [20, 5],
      [80, 24],
      [300, 100],
    ] as const) {
      again({}, { width, height });
      asks('run_command', 'Run make', { preview: 'make all' });
      expect(on.screen().split('\n').length).toBeLessThanOrEqual(height);
      on.key('escape');
      for (const open of [
        () => on.ctrl('k'),
        () => on.ctrl('o'),
        () => on.alt('q'),
        () => on.alt('p'),
        () => on.key('f1'),
      ]) {
        open();
        await settled();
        const lines = on.screen().split('\n');
        expect(lines.length).toBeLessThanOrEqual(height);
        on.key('escape');
      }
    }
  });
});
