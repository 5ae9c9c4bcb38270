import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { repeats, stepMark } from '../../src/actors/domain/stagnation.ts';
import { Harness } from './harness.ts';

const auto = { overrides: { auto: true } };
/** Starts and ends of calls in the order of the log. */
const course = (h: Harness): string[] =>
  h
    .log('s')
    .flatMap((r) =>
      r.event === 'tool.start' ? [`+${r.payload.name}`] : r.event === 'tool.end' ? [`-${r.payload.name}`] : [],
    );
const opened = (limits = {}): Harness => {
  const h = new Harness(limits);
  h.create('s');
  h.attach('s');
  return h;
};
const terminal = (h: Harness) =>
  h.log('s').findLast((r) => r.event === 'turn.done' || r.event === 'turn.error')?.payload;

describe('calls of one message', () => {
  test('[TL2] reads run beside each other; whatever may write waits for them, and is waited for', () => {
    const h = opened();
    h.submit('s', 'call read readother write read readlast', auto);
    h.run(200);
    expect(course(h)).toEqual(
      '+read +readother -read -readother +write -write +read +readlast -read -readlast'.split(' '),
    );
    expect(h.ends('s')[0]?.[1]).toBe('done');
  });

  test('[TL2] [SV3] no more of them than the limit says', () => {
    const h = opened({ turnParallelMax: 2 });
    h.submit('s', 'call read1 read2 read3', auto);
    h.run(200);
    expect(course(h).slice(0, 3)).toEqual(['+read1', '+read2', expect.stringMatching(/^-/)]);
    expect(course(h)).toHaveLength(6);
  });

  test('[CX4] reads in flight are killed and waited for before the terminal event', () => {
    const h = opened();
    h.submit('s', 'call readslow read2slow');
    h.run(60);
    expect([...h.ran].sort()).toEqual(['read2slow', 'readslow']);
    const cancel = h.cancel('s', { turnId: 't1' });
    h.run(1);
    expect([cancel.answer, h.ends('s')]).toEqual(['none', []]);
    h.run(60);
    expect([...h.killed].sort()).toEqual(['read2slow', 'readslow']);
    expect(h.ends('s')[0]?.[1]).toBe('cancelled');
    expect(terminal(h)).toMatchObject({ stopReason: 'cancelled' });
  });

  test('[CX5] one of them is cancelled alone', () => {
    const h = opened();
    h.submit('s', 'call readslow read');
    h.run(60);
    const cancel = h.cancel('s', { turnId: 't1', callId: 'c0' });
    h.run(200);
    expect(cancel.answer).toMatchObject({ cancelled: 1 });
    expect(h.killed).toEqual(['readslow']);
    expect(h.ends('s')[0]?.[1]).toBe('done');
    const end = h.log('s').find((r) => r.event === 'tool.end' && r.payload.id === 'c0');
    expect(end?.payload).toMatchObject({ isError: true, cancelledBy: expect.anything() });
  });

  test('[SV2] a turn that runs out of time ends what runs, and says so', () => {
    const h = opened({ turnDurationMs: 500, toolDeadlineMs: 5_000 });
    h.submit('s', 'call readslow read2slow');
    h.run(2_000);
    expect([...h.killed].sort()).toEqual(['read2slow', 'readslow']);
    expect(terminal(h)).toMatchObject({ outcome: 'error', code: 'budget-exceeded', stopReason: 'time' });
  });
});

describe('the end of a turn says why', () => {
  test('[TB1] calls, steps and circles', () => {
    const calls = opened({ turnCallsMax: 2 });
    calls.submit('s', 'call read1 read2 read3');
    calls.run(200);
    expect(terminal(calls)).toMatchObject({ code: 'budget-exceeded', stopReason: 'calls' });
    const steps = opened({ turnStepsMax: 3, turnRepeatsMax: 99 });
    steps.submit('s', 'again read');
    steps.run(500);
    expect(terminal(steps)).toMatchObject({ code: 'budget-exceeded', stopReason: 'steps' });
    const done = opened();
    done.submit('s', 'say hello');
    done.run(100);
    expect(terminal(done)).toMatchObject({ outcome: 'done', stopReason: 'completed' });
  });

  test('[TB2] a turn that makes the same calls with the same results is ended', () => {
    const h = opened({ turnRepeatsMax: 4 });
    h.submit('s', 'again read');
    h.run(2_000);
    expect(terminal(h)).toMatchObject({ code: 'stagnation', stopReason: 'stagnation' });
    expect(h.log('s').filter((r) => r.event === 'tool.end')).toHaveLength(4);
  });

  test('[TB2] a cycle of up to four steps is seen, whatever came before it; steps that differ are none', () => {
    const mark = fc.integer({ min: 0, max: 50 }).map((n) => stepMark([{ name: 't', args: `${n}`, result: 'r' }]));
    fc.assert(
      fc.property(
        fc.array(mark, { maxLength: 6 }),
        fc.uniqueArray(mark, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 2, max: 6 }),
        (before, cycle, times) => {
          const marks = [...before, ...Array.from({ length: times }, () => cycle).flat()];
          expect(repeats(marks)).toBeGreaterThanOrEqual(times);
        },
      ),
    );
    fc.assert(
      fc.property(fc.uniqueArray(mark, { maxLength: 32 }), (marks) => void expect(repeats(marks)).toBeLessThan(2)),
    );
    const poll = (result: string) => stepMark([{ name: 'bg_status', args: '{}', result }]);
    expect(repeats([poll('1 s'), poll('2 s'), poll('3 s')])).toBe(1);
  });
});
