import { describe, expect, test } from 'vitest';
import { Harness } from './harness.ts';

describe('policies', () => {
  test('[TQ2, WP1, WP3] enqueue runs in order, interrupt goes to the head, and the running turn ends as cancelled', () => {
    const h = new Harness();
    h.create('s');
    const first = h.submit('s', 'hang');
    h.submit('s', 'say two');
    h.run(10);
    const late = h.submit('s', 'say now', { onBusy: 'interrupt' });
    h.run(200);
    expect(first.answer).toMatchObject({ queued: 0 });
    expect(late.answer).toMatchObject({ queued: 1 });
    expect(h.ends('s')).toEqual([
      ['hang', 'cancelled'],
      ['say now', 'done'],
      ['say two', 'done'],
    ]);
  });

  test('[TQ6, WP2] reject refuses while a turn runs, leaves no trace, and admits when none runs', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'hang');
    const refused = h.submit('s', 'say no', { onBusy: 'reject' });
    h.run(20);
    expect(refused.answer).toBe('session-busy');
    h.cancel('s', { turnId: 't1' });
    h.run(50);
    const taken = h.submit('s', 'say yes', { onBusy: 'reject' });
    h.run(100);
    expect(taken.answer).toMatchObject({ queued: 0 });
    expect(JSON.stringify(h.log('s'))).not.toContain('say no');
  });

  test('[TQ4] a full queue refuses with a retryable error and drops nothing', () => {
    const h = new Harness({ queueTurnsMax: 2 });
    h.create('s');
    const answers = [h.submit('s', 'hang'), ...[1, 2, 3].map((i) => h.submit('s', `say ${i}`))];
    h.run(20);
    expect(answers.map((a) => (typeof a.answer === 'string' ? a.answer : 'taken'))).toEqual([
      'taken',
      'taken',
      'taken',
      'queue-full',
    ]);
    h.cancel('s', { turnId: 't1' });
    h.run(300);
    expect(h.ends('s').map(([c]) => c)).toEqual(['hang', 'say 1', 'say 2']);
  });

  test('[TQ2] lastSeenSeq conflicts when the conversation moved, and not because text streamed', () => {
    const h = new Harness();
    h.create('s');
    const seen = { lastSeenSeq: 1 };
    const a = h.submit('s', 'say some words', seen);
    const b = h.submit('s', 'say too late', seen);
    h.run(300);
    expect([typeof a.answer, b.answer]).toEqual(['object', 'state-conflict']);
    const revision = h.log('s').findLast((r) => r.event === 'turn.done')?.seq;
    const c = h.submit('s', 'say again', { lastSeenSeq: revision });
    h.run(300);
    expect(c.answer).toMatchObject({ queued: 0 });
  });
});

describe('cancel', () => {
  test('[CX4] a running tool is killed and waited for before the terminal event; the ack comes after it', () => {
    const h = new Harness();
    h.create('s');
    h.attach('s');
    h.submit('s', 'call slow', { overrides: { dangerous: true } });
    h.run(60);
    expect(h.ran).toEqual(['slow']);
    const cancel = h.cancel('s', { turnId: 't1' });
    h.run(1);
    expect([cancel.answer, h.ends('s')]).toEqual(['none', []]);
    h.run(60);
    expect(h.killed).toEqual(['slow']);
    expect(cancel.answer).toEqual({ cancelled: 1, cancelledQueued: 0, cancelledActive: true });
    expect(h.ends('s')).toEqual([['call slow', 'cancelled']]);
    const end = h.log('s').find((r) => r.event === 'tool.end');
    expect(end?.payload).toMatchObject({ isError: true });
  });

  test('[CX1] by writer, by turn, by both, by neither', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'hang', { writerId: 'a' });
    h.submit('s', 'say b1', { writerId: 'b' });
    h.submit('s', 'say a2', { writerId: 'a' });
    h.run(20);
    const neither = h.cancel('s', {});
    const unknown = h.cancel('s', { turnId: 'nope' });
    const both = h.cancel('s', { turnId: 't2', writerId: 'a' });
    h.run(20);
    const none = { cancelled: 0, cancelledQueued: 0, cancelledActive: false };
    expect([neither.answer, unknown.answer, both.answer]).toEqual([
      none,
      none,
      { ...none, cancelled: 1, cancelledQueued: 1 },
    ]);
    const writer = h.cancel('s', { writerId: 'a' });
    h.run(50);
    expect(writer.answer).toEqual({ cancelled: 2, cancelledQueued: 1, cancelledActive: true });
    expect(h.ends('s')).toEqual([
      ['say b1', 'cancelled'],
      ['say a2', 'cancelled'],
      ['hang', 'cancelled'],
    ]);
  });
});

describe('permissions', () => {
  test('[PM3] nobody attached: refused at once; somebody attached: refused at the announced deadline', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'call write');
    h.run(100);
    expect(h.log('s').find((r) => r.event === 'permission.resolved')?.payload).toMatchObject({
      reason: 'unattended',
      decision: 'deny',
    });
    expect(h.ran).toEqual([]);
    h.attach('s');
    h.submit('s', 'call write');
    h.run(600);
    const asked = h.log('s').find((r) => r.event === 'permission.request');
    const resolved = h.log('s').findLast((r) => r.event === 'permission.resolved');
    expect(resolved?.payload).toMatchObject({ reason: 'timeout', decision: 'deny' });
    expect(asked?.event === 'permission.request' && asked.payload.expiresAt).toBe(resolved?.ts);
    expect(h.ran).toEqual([]);
  });

  test('[PM2] the first decision wins and the second is told who won, also after a restart', () => {
    const h = new Harness();
    h.create('s');
    h.attach('s');
    h.submit('s', 'call write');
    h.run(60);
    const asked = h.log('s').find((r) => r.event === 'permission.request');
    const requestId = (asked?.event === 'permission.request' ? asked.payload.requestId : '') as never;
    const answers: unknown[] = [];
    const decide = (decision: 'allow' | 'deny', decidedBy: string): void =>
      h.system.resolve('s', { requestId, decision, decidedBy }, (error, value) => answers.push(error?.code ?? value));
    decide('deny', 'ann');
    decide('allow', 'bob');
    h.run(500);
    h.boot();
    decide('allow', 'cid');
    h.run(50);
    const lost = { ok: false, conflict: true, decision: 'deny', decidedBy: 'person:ann' };
    expect(answers).toEqual([
      { ok: true, conflict: false, decision: 'deny' },
      expect.objectContaining(lost),
      expect.objectContaining(lost),
    ]);
    expect(h.ran).toEqual([]);
  });

  test('[PM4] a read-only mode refuses a writer at execution, whatever else allows it', () => {
    const h = new Harness();
    h.create('s');
    h.attach('s');
    h.submit('s', 'call write read', { mode: 'plan', overrides: { dangerous: true, auto: true } });
    h.run(200);
    expect(h.ran).toEqual(['read']);
    expect(h.ends('s')).toEqual([['call write read', 'done']]);
  });
});

describe('supervision', () => {
  test('[SV1] a session that fails again and again is quarantined with its reason; the others go on', () => {
    const h = new Harness();
    h.create('bad');
    h.create('good');
    for (let i = 0; i < 6; i++) {
      h.submit('bad', 'poison x');
      h.run(30);
    }
    const fine = h.submit('good', 'say fine');
    h.run(200);
    expect(h.ends('good')).toEqual([['say fine', 'done']]);
    expect(fine.answer).toMatchObject({ queued: 0 });
    expect(h.system.health().quarantined).toEqual([
      expect.objectContaining({ sessionId: 'bad', reason: 'poisoned plan' }),
    ]);
    const refused = h.submit('bad', 'say hello');
    h.run(20);
    expect(refused.answer).toBe('session-quarantined');
    // What was accepted before is closed, not lost: a restart reads the log anew.
    h.boot();
    h.run(100);
    expect(h.ends('bad').every(([, outcome]) => outcome === 'interrupted')).toBe(true);
    expect(h.ends('bad').length).toBeGreaterThan(2);
  });

  test('[SV3] an idle session is passivated and costs no memory; the next command brings it back', () => {
    const h = new Harness({ passivateAfterMs: 100 });
    h.create('s');
    h.submit('s', 'say one');
    h.run(60);
    expect(h.system.parts.registry.slots.size).toBe(1);
    h.run(500);
    expect(h.system.parts.registry.slots.size).toBe(0);
    h.submit('s', 'say two');
    h.run(60);
    expect(h.ends('s').map(([c]) => c)).toEqual(['say one', 'say two']);
  });

  test('[SV3] when as many sessions are loaded as may be, an idle one makes room; without one the command is refused', () => {
    const h = new Harness({ sessionsLiveMax: 2, passivateAfterMs: 60_000 });
    for (const id of ['a', 'b', 'c', 'd']) h.create(id);
    h.submit('a', 'say x');
    h.run(60);
    h.submit('b', 'hang');
    h.run(20);
    h.submit('c', 'hang');
    h.run(40);
    expect([...h.system.parts.registry.slots.keys()]).toEqual(['b', 'c']);
    const refused = h.submit('d', 'say y');
    h.run(20);
    expect(refused.answer).toBe('too-many-requests');
  });

  test('[SV2] a full disk is a visible read-only state; nothing acknowledged is lost; it goes on when there is room', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'say before');
    h.run(100);
    h.faults.full = true;
    const during = h.submit('s', 'say during');
    h.run(200);
    expect(during.answer).toBe('storage');
    expect(h.system.health()).toMatchObject({ state: 'read-only', storage: { state: 'read-only' } });
    const refused = h.submit('s', 'say refused');
    const cancel = h.cancel('s', { writerId: 'w' });
    h.run(10);
    expect([refused.answer, cancel.answer]).toEqual(['storage-read-only', 'storage-read-only']);
    h.faults.full = false;
    h.run(300);
    expect(h.system.health().state).toBe('ready');
    h.submit('s', 'say after');
    h.run(200);
    expect(h.ends('s').map(([c]) => c)).toEqual(['say before', 'say after']);
  });

  test('[CR1] [TQ3] a stop ends the running turn as interrupted and keeps the queue for the next start', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'hang');
    h.submit('s', 'say later');
    h.run(20);
    let stopped = false;
    h.system.stop(() => {
      stopped = true;
    });
    h.run(400);
    expect(stopped).toBe(true);
    expect(h.ends('s')).toEqual([['hang', 'interrupted']]);
    h.boot();
    h.run(200);
    expect(h.ends('s')).toEqual([
      ['hang', 'interrupted'],
      ['say later', 'done'],
    ]);
  });
});
