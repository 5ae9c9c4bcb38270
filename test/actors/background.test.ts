import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { wordsOf } from '../../src/actors/domain/command-line.ts';
import { outputBudget } from '../../src/actors/domain/output-budget.ts';
import { ENDED_KEPT_MAX, type OutputStream, StartBackgroundSchema } from '../../src/protocol/background.ts';
import { keptProblem, noOutput, type SeenProcess } from '../sim/background-checker.ts';
import { Harness } from './harness.ts';

const ask = <T>(call: (done: (error: { code: string; message: string } | null, value: T) => void) => void) => {
  const out: { answer: unknown; message: string } = { answer: 'none', message: '' };
  call((error, value) => {
    out.answer = error ? error.code : value;
    out.message = error?.message ?? '';
  });
  return out;
};
const start = (h: Harness, command: string, more: object = {}, sessionId = 's') =>
  ask((done) => h.system.startBackground(StartBackgroundSchema.parse({ sessionId, command, ...more }), done));
const kill = (h: Harness, processId: string, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM') =>
  ask((done) => h.system.killBackground('s', processId, signal, done));
const idOf = (out: { answer: unknown }): string => (out.answer as { process: { processId: string } }).process.processId;
const with1 = (limits = {}): Harness => {
  const h = new Harness(limits);
  h.create('s');
  return h;
};
const statuses = (h: Harness): string[] =>
  h.log('s').flatMap((r) => (r.event === 'background.status' ? [r.payload.reason] : []));
const outputs = (h: Harness) => h.log('s').flatMap((r) => (r.event === 'background.output' ? [r.payload] : []));

describe('a background process', () => {
  test('[BG1] its start, output and end are in the log of its session, in order, and the revision does not move', () => {
    const h = with1();
    const out = start(h, 'job ms=60 out=3 code=4', { label: 'l' });
    h.run(30);
    expect(out.answer).toMatchObject({
      process: { sessionId: 's', label: 'l', state: 'running', exitCode: null, endedAt: null, timeoutMs: 300_000 },
    });
    h.run(200);
    expect(statuses(h)).toEqual(['started', 'failed']);
    expect(outputs(h).map((p) => [p.processId, p.seq])).toEqual([1, 2, 3].map((seq) => [idOf(out), seq]));
    const end = h.log('s').at(-1);
    expect(end).toMatchObject({ event: 'background.status', payload: { process: { exitCode: 4, state: 'failed' } } });
    const got = ask((d) => h.system.get('s', d as never));
    h.run(20);
    expect(got.answer).toMatchObject({ revision: 1, background: [{ state: 'failed', chunks: 3 }] });
  });

  test('[BG2] it begins only when its start is committed, and that is answered only when it is flushed', () => {
    const h = with1();
    const out = start(h, 'job');
    let held = 0;
    for (let i = 0; i < 500 && out.answer === 'none'; i++) {
      h.clock.step();
      // As far as anybody else could know, nothing was started yet.
      if (h.table.alive.size > 0 && statuses(h).length === 0) held += 1;
      if (h.began.length > 0) expect(statuses(h)).toEqual(['started']);
    }
    expect([held > 0, h.began.length]).toEqual([true, 1]);
    expect(h.disk.flushedHead('s')).toBe(2);
  });

  test('what is no program is refused and leaves no trace; nor does a command that cannot be read', () => {
    const h = with1();
    const [missing, open, empty] = [start(h, 'nothing here'), start(h, 'job "'), start(h, '  ')];
    const nowhere = start(h, 'job', {}, 'nope');
    h.run(60);
    expect([missing, open, empty, nowhere].map(({ answer }) => answer)).toEqual([
      'background-failed',
      'invalid-request',
      'invalid-request',
      'session-not-found',
    ]);
    expect(missing.message).toBe('Background process failed to start: nothing');
    expect(nowhere.message).toBe('Session not found: nope');
    expect(h.events('s')).toEqual(['session.snapshot']);
    // Its place is free again.
    h.run(1_500);
    expect(h.system.parts.registry.slots.size).toBe(0);
  });

  test('its folder is the one that is named, below the workspace unless it is absolute', () => {
    const h = with1();
    h.system.create({ sessionId: 'w' as never, metadata: { workspace: '/w/space' } }, () => undefined);
    h.run(20);
    const cwds = [start(h, 'job'), start(h, 'job', { cwd: 'a' }), start(h, 'job', { cwd: '/x/../y' })];
    const inside = [start(h, 'job', {}, 'w'), start(h, 'job', { cwd: 'a/b' }, 'w')];
    h.run(100);
    const folder = (out: { answer: unknown }) => (out.answer as { process: { cwd: string } }).process.cwd;
    expect(cwds.map(folder)).toEqual(['/home/sim', '/home/sim/a', '/y']);
    expect(inside.map(folder)).toEqual(['/w/space', '/w/space/a/b']);
  });

  test('[BG5] one more than a session may have is refused, and so is one more than all may have', () => {
    const h = with1({ backgroundSessionMax: 2, backgroundMax: 3 });
    h.create('t');
    const first = [start(h, 'job'), start(h, 'job'), start(h, 'job')];
    const other = [start(h, 'job', {}, 't'), start(h, 'job', {}, 't')];
    h.run(60);
    expect([first[2], other[1]]).toMatchObject([
      { answer: 'too-many-requests', message: 'Max concurrent processes (2) reached' },
      { answer: 'too-many-requests', message: 'Max concurrent processes (3) reached' },
    ]);
    kill(h, idOf(first[0] as never));
    h.run(60);
    const again = start(h, 'job');
    h.run(60);
    expect(again.answer).toMatchObject({ process: { state: 'running' } });
    expect(h.system.metrics().find((g) => g.name === 'background_processes')).toMatchObject({ value: 3, max: 3 });
  });

  test('[BG5] its session stays loaded for as long as it runs, and no longer', () => {
    const h = with1({ passivateAfterMs: 100 });
    start(h, 'job ms=5000');
    h.run(3_000);
    expect(h.system.parts.registry.slots.size).toBe(1);
    expect(ask((d) => h.system.why('s', d)).answer).toMatchObject({ text: expect.stringContaining('background') });
    h.run(3_000);
    expect(h.system.parts.registry.slots.size).toBe(0);
  });
});

describe('its end', () => {
  test('[BG3, CX1] a kill names one, is answered when nothing of it is alive, and a second one finds it ended', () => {
    const h = with1();
    const [a, b] = [start(h, 'job'), start(h, 'job')];
    h.run(60);
    const killed = kill(h, idOf(a));
    expect(killed.answer).toBe('none');
    h.run(100);
    expect(killed.answer).toMatchObject({ killed: true, process: { state: 'killed', endedAt: expect.any(String) } });
    expect([...h.table.alive.keys()]).toEqual([idOf(b)]);
    const again = kill(h, idOf(a));
    const unknown = kill(h, 'nope');
    h.run(20);
    expect([again.answer, unknown.answer]).toMatchObject([{ killed: false }, 'background-not-found']);
    expect(h.log('s').at(-1)).toMatchObject({
      payload: { reason: 'killed', signal: 'SIGTERM', previousState: 'running' },
    });
  });

  test('[BG3, SV2] one that is deaf is forced after a while, at once when that is asked for, and given up on in the end', () => {
    const h = with1({ backgroundGraceMs: 400, toolKillDeadlineMs: 300 });
    const [deaf, hurried, lost] = [start(h, 'job deaf'), start(h, 'job deaf'), start(h, 'job deaf lost')];
    h.run(60);
    const answers = [deaf, hurried, lost].map((p) => kill(h, idOf(p)));
    h.run(100);
    const forced = kill(h, idOf(hurried), 'SIGKILL');
    h.run(100);
    expect(answers.map(({ answer }) => answer)).toMatchObject(['none', { killed: true }, 'none']);
    expect(forced.answer).toMatchObject({ killed: true });
    h.run(300);
    expect([answers[0]?.answer, answers[2]?.answer]).toMatchObject([{ killed: true }, 'none']);
    h.run(300);
    expect(answers[2]?.answer).toMatchObject({ killed: true });
    expect(h.table.alive.size).toBe(0);
  });

  test('[BG1] a time-out is one end, and a kill in the middle of it does not make it another', () => {
    const h = with1({ backgroundGraceMs: 200 });
    const out = start(h, 'job deaf', { timeoutMs: 100 });
    start(h, 'job ms=4000', { timeoutMs: 0 });
    h.run(200);
    expect(statuses(h)).toEqual(['started', 'started']);
    const killed = kill(h, idOf(out), 'SIGKILL');
    h.run(100);
    expect(killed.answer).toMatchObject({ killed: true, process: { state: 'timeout' } });
    expect(statuses(h)).toEqual(['started', 'started', 'timeout']);
    h.run(5_000);
    expect(statuses(h)).toEqual(['started', 'started', 'timeout', 'completed']);
  });

  test('[BG3, CX4] a delete ends them all before it is answered, also one that is about to start; none is taken on after', () => {
    const h = with1();
    start(h, 'job');
    start(h, 'job deaf');
    h.run(60);
    const late = start(h, 'job');
    const out = ask((d) => h.system.delete('s', d));
    h.run(20);
    expect(out.answer).toBe('none');
    h.run(200);
    expect(out.answer).toMatchObject({ sessionId: 's' });
    expect([h.table.alive.size, statuses(h).slice(-2)]).toEqual([0, ['killed', 'killed']]);
    expect(late.answer).not.toBe('none');
    const refused = start(h, 'job');
    h.run(30);
    expect(refused.answer).toBe('session-deleted');
  });

  test('[BG3, SV2] a delete waits for what ran when it came, and not for what a restored session begins', () => {
    const h = with1();
    const first = start(h, 'job deaf');
    h.run(60);
    const away = ask((d) => h.system.delete('s', d));
    h.run(20);
    ask((d) => h.system.undelete('s', d));
    h.run(20);
    const second = start(h, 'job');
    h.run(20_000);
    expect(away.answer).toMatchObject({ sessionId: 's' });
    const got = ask((d) => h.system.get('s', d as never));
    h.run(20);
    expect(got.answer).toMatchObject({
      background: [
        { processId: idOf(first), state: 'killed' },
        { processId: idOf(second), state: 'running' },
      ],
    });
  });

  test('[BG1] the end that was last is remembered, however early it began', () => {
    const h = new Harness({ backgroundSessionMax: 2 });
    h.create('s');
    const long = start(h, 'job');
    h.run(60);
    for (let i = 0; i < ENDED_KEPT_MAX + 3; i++) {
      start(h, 'job ms=1');
      h.run(100);
    }
    const out = kill(h, idOf(long));
    h.run(200);
    expect(out.answer).toMatchObject({ killed: true, process: { processId: idOf(long), state: 'killed' } });
    const again = kill(h, idOf(long));
    const got = ask((d) => h.system.get('s', d as never));
    h.run(20);
    expect(again.answer).toMatchObject({ killed: false });
    expect((got.answer as { background: unknown[] }).background).toHaveLength(ENDED_KEPT_MAX);
  });

  test('[BG3] a clean stop ends them, says so, and waits for it; what comes then is refused', () => {
    const h = with1();
    start(h, 'job');
    start(h, 'job deaf');
    h.run(60);
    let stopped = false;
    h.system.stop(() => {
      stopped = true;
    });
    h.run(1);
    const late = start(h, 'job');
    h.run(400);
    expect([stopped, h.table.alive.size]).toEqual([true, 0]);
    expect(statuses(h).slice(2)).toEqual(['interrupted', 'interrupted']);
    expect(late.answer).toBe('shutting-down');
  });
});

describe('a sudden end', () => {
  test('[BG3, CR1] a daemon that died: the next one closes its processes in the log and ends what is left of them', () => {
    const h = with1();
    const out = start(h, 'job out=2');
    h.run(100);
    h.boot();
    expect(h.log('s').at(-1)).toMatchObject({
      payload: { reason: 'interrupted', process: { processId: idOf(out), state: 'interrupted', exitCode: null } },
    });
    expect(h.table.alive.size).toBe(0);
    h.boot();
    expect(statuses(h)).toEqual(['started', 'interrupted']);
  });

  test('[BG3, BG5] a session that fails takes its processes along, is restarted, and closes them', () => {
    const h = with1();
    start(h, 'job');
    h.run(60);
    h.submit('s', 'poison read');
    h.run(200);
    expect(statuses(h)).toEqual(['started', 'interrupted']);
    expect(h.table.alive.size).toBe(0);
  });

  test('[BG3, BG5] so does one whose commit failed', () => {
    const h = with1();
    start(h, 'job');
    h.run(60);
    h.faults.failing = 1;
    h.submit('s', 'say x');
    h.run(30);
    expect(h.table.alive.size).toBe(0);
    h.faults.failing = 0;
    h.run(400);
    expect(statuses(h)).toEqual(['started', 'interrupted']);
  });

  test('[CR2] a fork begins without them', () => {
    const h = with1();
    start(h, 'job');
    h.run(60);
    const out = ask((d) => h.system.fork('s', { sessionId: 'f' }, d));
    h.run(40);
    const got = ask((d) => h.system.get('f', d as never));
    h.run(20);
    expect([out.answer, got.answer]).toMatchObject([{ sessionId: 'f' }, { background: [] }]);
  });
});

describe('what it writes', () => {
  test('[BG4] above its bound the log has the beginning and the last words, and says how much is missing', () => {
    const h = with1({ backgroundOutputCharsMax: 1_000, backgroundTailCharsMax: 50 });
    start(h, 'job ms=100 out=20 size=100');
    h.run(300);
    const all = outputs(h);
    expect(all.filter((p) => p.truncated)).toHaveLength(1);
    const [before, after] = [all.findIndex((p) => p.truncated) + 1, all.length];
    expect(before).toBeLessThan(after);
    expect(all.slice(before).map((p) => p.leftOut ?? 0)).toContainEqual(expect.any(Number));
    expect(all.slice(before).reduce((n, p) => n + p.text.length + (p.leftOut ?? 0), 0)).toBe(
      2_000 - all.slice(0, before).reduce((n, p) => n + p.text.length, 0),
    );
  });

  test('[BG4] one that ended unread while the disk was slow is read when its time is up, and nothing is lost', () => {
    const h = with1({ toolKillDeadlineMs: 50, backgroundGraceMs: 50, backgroundOutputCharsMax: 1 << 20 });
    const out = start(h, 'job ms=60 out=20 size=400', { timeoutMs: 100 });
    h.run(10);
    // A commit that takes longer than the process may live, and than it takes to give up on it.
    h.disk.slowCommit(2_000);
    h.run(5_000);
    const processId = idOf(out);
    const seen: SeenProcess = { pid: 0, startedSeq: 0, texts: [], ended: 'timeout', truncated: false, kept: {} };
    for (const { stream, text, truncated, leftOut = 0 } of outputs(h)) {
      seen.kept[stream] ??= noOutput();
      seen.kept[stream].pieces.push({ text, leftOut });
      seen.kept[stream].leftOut += leftOut;
      seen.kept[stream][seen.truncated ? 'tail' : 'head'] += text;
      seen.truncated ||= truncated === true;
    }
    expect(h.table.pauses).toBeGreaterThan(0);
    for (const stream of ['stdout', 'stderr'])
      expect(keptProblem(seen, stream, h.table.written.get(`${processId} ${stream}`) ?? '')).toBeNull();
    expect(statuses(h)).toHaveLength(2);
  });

  test('[BG4] while the disk is slow it is gathered, above a bound the process is not read, and nothing is lost', () => {
    const h = with1({ gateCharsMax: 300, tokenCharsMax: 4_000, backgroundOutputCharsMax: 1 << 20 });
    h.faults.slow = 1;
    start(h, 'job ms=200 out=200 size=60');
    h.run(5_000);
    const all = outputs(h);
    expect(all.reduce((n, p) => n + p.text.length, 0)).toBe(12_000);
    expect(all.length).toBeLessThan(150);
    expect(h.table.pauses).toBeGreaterThan(0);
    expect(statuses(h)).toEqual(['started', 'completed']);
  });

  const BOUNDS = { tokenCharsMax: 7, backgroundOutputCharsMax: 600, backgroundTailCharsMax: 9 };

  test('[BG4, SV3] whatever is written and however it is gathered: a beginning, a number and an end, which make the whole', () => {
    const piece = fc.tuple(
      fc.constantFrom<OutputStream>('stdout', 'stderr'),
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const budget = outputBudget(BOUNDS);
        const seen: SeenProcess = { pid: 1, startedSeq: 1, texts: [], ended: 'completed', truncated: false, kept: {} };
        const written = { stdout: '', stderr: '' };
        const take = (told: ReturnType<typeof budget.cut>): void => {
          for (const { stream, text, truncated, leftOut = 0 } of told) {
            expect(text.length).toBeLessThanOrEqual(BOUNDS.tokenCharsMax);
            expect(text).not.toBe('');
            seen.kept[stream] ??= noOutput();
            const kept = seen.kept[stream];
            kept.pieces.push({ text, leftOut });
            kept.leftOut += leftOut;
            if (seen.truncated) kept.tail += text;
            else kept.head += text;
            seen.truncated ||= truncated === true;
          }
        };
        for (const [stream, text, cuts] of pieces) {
          budget.push(stream, text);
          written[stream] += text;
          if (cuts) take(budget.cut());
        }
        take(budget.cut());
        expect(budget.size).toBe(0);
        take(budget.end());
        for (const stream of ['stdout', 'stderr'] as const) {
          expect(keptProblem(seen, stream, written[stream])).toBeNull();
          const { head = '', tail = '' } = seen.kept[stream] ?? {};
          expect(head.length).toBeLessThanOrEqual(BOUNDS.backgroundOutputCharsMax);
          expect(tail.length).toBeLessThanOrEqual(BOUNDS.backgroundTailCharsMax);
        }
      }),
    );
  });
});

describe('a command line', () => {
  test.each([
    ['sleep 20', ['sleep', '20']],
    [`  sh -c 'echo out; echo err >&2'  `, ['sh', '-c', 'echo out; echo err >&2']],
    ['a "b c" d\\ e', ['a', 'b c', 'd e']],
    [`a '' ""`, ['a', '', '']],
    ['a"b"\'c\'d', ['abcd']],
    ['a "x\\"y\\\\z\\n"', ['a', 'x"y\\z\\n']],
    [`a '\\'`, ['a', '\\']],
    ['a && b | c > $X *', ['a', '&&', 'b', '|', 'c', '>', '$X', '*']],
    ['a\n\tb', ['a', 'b']],
    ['a "b', null],
    ["a 'b", null],
    ['a\\', null],
    ["'' a", null],
    ['   ', null],
  ])('%j', (command, words) => {
    expect(wordsOf(command)).toEqual(words);
  });

  test('words that were quoted come back as they were', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 8 }), { maxLength: 5 }), (words) => {
        const quoted = words.map((w) => `"${w.replace(/["\\]/g, '\\$&')}"`);
        expect(wordsOf(['run', ...quoted].join(' '))).toEqual(['run', ...words]);
      }),
    );
  });
});
