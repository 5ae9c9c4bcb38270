import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../../src/protocol/events.ts';
import { openRequests, toSnapshot } from '../../src/protocol/session-state.ts';
import { Harness } from './harness.ts';

const open = (h: Harness): Harness => {
  h.create('s');
  h.attach('s');
  return h;
};
const state = (h: Harness) => {
  let out: import('../../src/protocol/session-state.ts').SessionState | undefined;
  h.system.get('s', (_, value) => {
    out = value;
  });
  h.run(1);
  if (!out) throw new Error('the session has no state');
  return out;
};
const asked = (h: Harness): string => openRequests(state(h))[0]?.asked.requestId ?? '';
const decide = (h: Harness, more: object, requestId = asked(h)): { answer: unknown } => {
  const out: { answer: unknown } = { answer: 'none' };
  h.system.resolve('s', { requestId, decision: 'allow', decidedBy: 'ana', ...more } as never, (error, value) => {
    out.answer = error?.code ?? value;
  });
  h.run(20);
  return out;
};
const patch = (h: Harness, change: object): { answer: unknown } => {
  const out: { answer: unknown } = { answer: 'none' };
  h.system.patch('s', change, (error, value) => {
    out.answer = error?.code ?? value;
  });
  h.run(20);
  return out;
};
const of = <E extends LogRecord['event']>(h: Harness, event: E) =>
  h.log('s').flatMap((r) => (r.event === event ? [r.payload as Extract<LogRecord, { event: E }>['payload']] : []));
const starts = (h: Harness): string[] => of(h, 'tool.start').map((p) => `${p.name} ${p.decidedBy}`);

describe('decisions that are remembered', () => {
  test('[PM6] one allow serves the rest of the step, the next turn and the next daemon, and nobody need be there', () => {
    const h = open(new Harness());
    h.submit('s', 'call write write read write');
    h.run(60);
    expect(decide(h, { remember: 'session' }).answer).toEqual({ ok: true, conflict: false, decision: 'allow' });
    h.run(100);
    expect(h.ends('s')).toEqual([['call write write read write', 'done']]);
    expect(starts(h)).toEqual(['write person:ana', 'write remembered:ana', 'read rule:read', 'write remembered:ana']);
    expect(of(h, 'permission.resolved')).toEqual([expect.objectContaining({ remember: 'session', reason: 'person' })]);
    expect(of(h, 'permission.request')).toHaveLength(1);

    h.boot();
    h.submit('s', 'call write');
    h.run(100);
    expect(starts(h).at(-1)).toBe('write remembered:ana');
    expect(toSnapshot(state(h)).remembered).toEqual([{ tool: 'write', decidedBy: 'person:ana' }]);
  });

  test('[PM6] it is for that tool alone, and an allow without it is for one call', () => {
    const h = open(new Harness());
    h.submit('s', 'call write exec write');
    h.run(60);
    decide(h, { remember: 'session' });
    h.run(30);
    expect(openRequests(state(h)).map(({ call }) => call.name)).toEqual(['exec']);
    decide(h, { decidedBy: 'bob' });
    h.run(60);
    expect(starts(h)).toEqual(['write person:ana', 'exec person:bob', 'write remembered:ana']);
    h.submit('s', 'call exec');
    h.run(60);
    expect(openRequests(state(h))).toHaveLength(1);
  });

  test('[PM5, PM6] a deny rule and a read-only mode stay final', () => {
    const h = open(new Harness());
    h.submit('s', 'call write');
    h.run(60);
    decide(h, { remember: 'session' });
    h.submit('s', 'call write', { mode: 'plan' });
    h.run(100);
    expect(of(h, 'permission.resolved').at(-1)).toMatchObject({ decision: 'deny', decidedBy: 'rule:mode:plan' });
    h.rules.push({ tool: 'write', action: 'deny' });
    h.boot();
    h.submit('s', 'call write');
    h.run(100);
    expect(of(h, 'permission.resolved').at(-1)).toMatchObject({ decision: 'deny', decidedBy: 'rule:user:write' });
    expect(starts(h)).toEqual(['write person:ana']);
  });

  test('[PM6] a patch forgets it, and the tool is asked about again; to forget what is not remembered changes nothing', () => {
    const h = open(new Harness());
    h.submit('s', 'call write');
    h.run(60);
    decide(h, { remember: 'session' });
    h.run(60);
    expect(patch(h, { forget: ['nothing'] }).answer).toMatchObject({
      remembered: [{ tool: 'write', decidedBy: 'person:ana' }],
    });
    expect(patch(h, { forget: ['write'], title: 't' }).answer).not.toHaveProperty('remembered');
    expect(of(h, 'session.updated').at(-1)?.change).toEqual({ kind: 'settings', forget: ['write'], title: 't' });
    expect(state(h)).not.toHaveProperty('remembered');
    h.submit('s', 'call write');
    h.run(60);
    expect(openRequests(state(h))).toHaveLength(1);
  });

  test('[PM6] a fork inherits none of it', () => {
    const h = open(new Harness());
    h.submit('s', 'call write');
    h.run(60);
    decide(h, { remember: 'session' });
    h.run(60);
    const forked: unknown[] = [];
    h.system.fork('s', { sessionId: 'f' }, (error, value) => forked.push(error?.code ?? value));
    h.run(60);
    expect(forked).toEqual([expect.objectContaining({ sessionId: 'f' })]);
    expect(JSON.stringify(h.log('f'))).not.toContain('remembered');
  });

  test('[PM6] it goes with an allow only: a deny with it is refused, and the request stays open', () => {
    const h = open(new Harness());
    h.submit('s', 'call write');
    h.run(60);
    const requestId = asked(h);
    expect(decide(h, { decision: 'deny', remember: 'session' }).answer).toBe('invalid-request');
    expect(asked(h)).toBe(requestId);
    expect(decide(h, {}).answer).toMatchObject({ ok: true });
  });
});

describe('questions', () => {
  const toolMessages = (h: Harness): string[] =>
    state(h).messages.flatMap((m) => (m.role === 'tool' ? [m.content] : []));

  test('[PM7] the answer is the result, nothing runs, and everything about it is one commit', () => {
    const h = open(new Harness());
    h.submit('s', 'call ask read');
    h.run(60);
    expect(of(h, 'permission.request')).toEqual([
      expect.objectContaining({ toolName: 'ask', question: { text: 'which?', options: ['this', 'that'] } }),
    ]);
    expect(openRequests(state(h))[0]?.asked.question).toEqual({ text: 'which?', options: ['this', 'that'] });
    const at = h.log('s').length;
    expect(decide(h, { answer: 'neither' }).answer).toEqual({ ok: true, conflict: false, decision: 'allow' });
    h.run(60);
    expect(h.log('s').slice(at, at + 3)).toMatchObject([
      { event: 'permission.resolved', payload: { decision: 'allow', decidedBy: 'person:ana', answer: 'neither' } },
      { event: 'tool.start', payload: { name: 'ask', decidedBy: 'person:ana' } },
      { event: 'tool.end', payload: { name: 'ask', result: 'neither', isError: false } },
    ]);
    expect(h.ran).toEqual(['read']);
    expect(toolMessages(h)).toEqual(['neither', 'r']);
    expect(h.ends('s')).toEqual([['call ask read', 'done']]);
  });

  test('[PM7] an allow without an answer, an answer to what is no question, and a memory of one are refused; it stays open', () => {
    const h = open(new Harness());
    h.submit('s', 'call ask');
    h.run(60);
    const requestId = asked(h);
    for (const misfit of [
      {},
      { answer: 'a', remember: 'session' },
      { remember: 'session' },
      { decision: 'deny', answer: 'a' },
    ]) {
      expect(decide(h, misfit).answer, JSON.stringify(misfit)).toBe('invalid-request');
    }
    expect(asked(h)).toBe(requestId);
    expect(decide(h, { answer: 'this' }).answer).toMatchObject({ ok: true });
    h.submit('s', 'call write');
    h.run(60);
    expect(decide(h, { answer: 'yes' }).answer).toBe('invalid-request');
    expect(decide(h, {}).answer).toMatchObject({ ok: true });
    expect(decide(h, { answer: 'late' }, requestId).answer).toMatchObject({ conflict: true, decidedBy: 'person:ana' });
  });

  test('[PM3, PM7] denied, overdue or unattended: the model is told that there is no answer, and goes on', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'call ask');
    h.run(100);
    h.attach('s');
    h.submit('s', 'call ask');
    h.run(60);
    decide(h, { decision: 'deny' });
    h.submit('s', 'call ask');
    h.run(600);
    expect(of(h, 'permission.resolved').map((p) => p.reason)).toEqual(['unattended', 'person', 'timeout']);
    for (const told of toolMessages(h)) expect(told).toMatch(/^No answer: /);
    expect(toolMessages(h)).toHaveLength(3);
    expect(h.ends('s').map(([, how]) => how)).toEqual(['done', 'done', 'done']);
  });

  test('[PM5, PM7] it asks in every mode and under every override; only a deny rule keeps it from people', () => {
    const h = open(new Harness());
    h.rules.push({ tool: '*', action: 'allow' });
    h.boot();
    h.attach('s');
    for (const more of [{ mode: 'plan' }, { overrides: { dangerous: true, auto: true } }, { mode: 'do' }]) {
      h.submit('s', 'call ask', more);
      h.run(60);
      expect(openRequests(state(h)), JSON.stringify(more)).toHaveLength(1);
      decide(h, { answer: 'this' });
      h.run(60);
    }
    h.rules.push({ tool: 'ask', action: 'deny' });
    h.boot();
    h.attach('s');
    h.submit('s', 'call ask');
    h.run(60);
    expect(of(h, 'permission.resolved').at(-1)).toMatchObject({ decision: 'deny', reason: 'rule' });
  });

  test('[CR1, PM7] an open question does not outlive its daemon, and an answer is still there after it', () => {
    const h = open(new Harness());
    h.submit('s', 'call ask ask');
    h.run(60);
    decide(h, { answer: 'kept' });
    h.run(20);
    h.disk.crash(false);
    h.boot();
    h.run(100);
    expect(toolMessages(h)[0]).toBe('kept');
    expect(of(h, 'permission.resolved').at(-1)).toMatchObject({ decision: 'deny', reason: 'interrupted' });
    expect(h.ends('s')).toEqual([['call ask ask', 'interrupted']]);
  });
});

describe('the cancel of one call', () => {
  const hit = { cancelled: 1, cancelledQueued: 0, cancelledActive: false, cancelledCalls: 1 };
  const missed = { ...hit, cancelled: 0, cancelledCalls: 0 };
  const results = (h: Harness): string[] => {
    const { messages } = state(h);
    return messages.flatMap((m) => (m.role === 'tool' ? [`${m.tool_call_id} ${m.content}`] : []));
  };
  const DANGEROUS = { overrides: { dangerous: true } };

  test('[CX5] a running one is killed and waited for, the log and the model are told by whom, the turn goes on', () => {
    const h = open(new Harness());
    h.submit('s', 'call read slow read', DANGEROUS);
    h.run(60);
    const cancel = h.cancel('s', { turnId: 't1', callId: 'c1', cancelledBy: 'ana' });
    const again = h.cancel('s', { turnId: 't1', callId: 'c1', cancelledBy: 'bob' });
    h.run(1);
    expect([cancel.answer, of(h, 'tool.end').length]).toEqual(['none', 1]);
    h.run(60);
    expect([cancel.answer, again.answer, h.killed]).toEqual([hit, hit, ['slow']]);
    expect(of(h, 'tool.end')[1]).toMatchObject({ id: 'c1', isError: true, cancelledBy: 'person:ana' });
    expect(results(h)).toEqual([
      'c0 r',
      'c1 ana cancelled this call while it ran; it may have had part of its effect. Go on without it.',
      'c2 r',
    ]);
    expect(h.ends('s')).toEqual([['call read slow read', 'done']]);
    expect(h.events('s')).not.toContain('session.cancelled');
  });

  test('[CX5] one that waits for a decision, or for its place, is refused at once; results stay in call order', () => {
    const h = open(new Harness());
    h.submit('s', 'call write write read');
    h.run(60);
    const place = h.cancel('s', { turnId: 't1', callId: 'c1', cancelledBy: 'ana' });
    h.run(10);
    expect(place.answer).toEqual(hit);
    expect(state(h).active?.calls.map((c) => c.progress.state)).toEqual(['asked', 'refused', 'waiting']);
    const request = h.cancel('s', { turnId: 't1', callId: 'c0' });
    h.run(60);
    expect(request.answer).toEqual(hit);
    expect(of(h, 'permission.resolved')).toEqual([
      expect.objectContaining({
        requestId: 'c1',
        reason: 'cancelled',
        decidedBy: 'person:ana',
        cancelledBy: 'person:ana',
      }),
      expect.objectContaining({ callId: 'c0', reason: 'cancelled', cancelledBy: 'person:somebody' }),
    ]);
    expect(results(h)).toEqual([
      'c0 somebody cancelled this call before it ran. Go on without it.',
      'c1 ana cancelled this call before it ran. Go on without it.',
      'c2 r',
    ]);
    expect([h.ran, h.ends('s')]).toEqual([['read'], [['call write write read', 'done']]]);
  });

  test('[CX5, PM7] a question that is cancelled has no answer, and a decision that comes later is told', () => {
    const h = open(new Harness());
    h.submit('s', 'call ask');
    h.run(60);
    const requestId = asked(h);
    h.cancel('s', { turnId: 't1', callId: 'c0', cancelledBy: 'an\u001b[31ma' });
    h.run(30);
    expect(results(h)).toEqual(['c0 No answer: an [31ma cancelled the question.']);
    expect(decide(h, { answer: 'late' }, requestId).answer).toMatchObject({ conflict: true, decision: 'deny' });
  });

  test('[CX5] what has ended, is not there, or ends with its turn counts as not hit; without its turn a call has no name', () => {
    const h = open(new Harness());
    h.submit('s', 'call read slow', DANGEROUS);
    h.run(60);
    const answers = [
      h.cancel('s', { turnId: 't1', callId: 'c0' }),
      h.cancel('s', { turnId: 't1', callId: 'nope' }),
      h.cancel('s', { turnId: 'nope', callId: 'c1' }),
      h.cancel('s', { writerId: 'w', callId: 'c1' }),
    ];
    h.run(20);
    expect(answers.map((a) => a.answer)).toEqual([missed, missed, missed, 'invalid-request']);
    expect(h.killed).toEqual([]);
    const call = h.cancel('s', { turnId: 't1', callId: 'c1' });
    const turn = h.cancel('s', { turnId: 't1' });
    const late = h.cancel('s', { turnId: 't1', callId: 'c1' });
    h.run(100);
    expect([call.answer, late.answer]).toEqual([missed, missed]);
    expect(turn.answer).toMatchObject({ cancelled: 1, cancelledActive: true });
    expect(h.ends('s')).toEqual([['call read slow', 'cancelled']]);
    expect(h.cancel('s', { callId: 'c1' })).toBeDefined();
  });

  test('[CX5] a result that is quicker than the kill is the call’s own, and the cancel says that it missed', () => {
    const outcomes = new Set<string>();
    for (let ms = 0; ms < 12; ms++) {
      const h = open(new Harness());
      h.submit('s', 'call read read');
      h.run(3 + ms);
      const cancel = h.cancel('s', { turnId: 't1', callId: 'c0', cancelledBy: 'ana' });
      h.run(100);
      const answer = cancel.answer as typeof hit;
      const end = of(h, 'tool.end').find((p) => p.id === 'c0');
      const refused = of(h, 'permission.resolved').some((p) => p.callId === 'c0');
      expect(answer.cancelledCalls, `after ${ms} ms`).toBe(refused || end?.cancelledBy !== undefined ? 1 : 0);
      expect(results(h)).toHaveLength(2);
      expect(h.ends('s')).toEqual([['call read read', 'done']]);
      outcomes.add(refused ? 'refused' : end?.cancelledBy === undefined ? 'missed' : 'killed');
    }
    expect([...outcomes].sort()).toEqual(expect.arrayContaining(['killed', 'missed']));
  });
});
