import { describe, expect, test } from 'vitest';
import type { PresenceEntry } from '../../src/protocol/session.ts';
import { Harness } from './harness.ts';

const ask = <T>(call: (done: (error: { code: string } | null, value: T) => void) => void): { answer: T | string } => {
  const out: { answer: T | string } = { answer: 'none' };
  call((error, value) => {
    out.answer = error ? error.code : value;
  });
  return out;
};

const with1 = (): Harness => {
  const h = new Harness();
  h.create('s');
  return h;
};

describe('patch', () => {
  test('[CR2] settings change, metadata is merged key by key, and a restart sees the same', () => {
    const h = with1();
    ask((d) => h.system.patch('s', { title: 'T', metadata: { a: 1, b: { c: 2 } } }, d));
    const out = ask((d) => h.system.patch('s', { model: 'big', metadata: { a: null, x: 'y' } }, d));
    h.run(20);
    expect(out.answer).toMatchObject({
      title: 'T',
      model: 'big',
      metadata: { b: { c: 2 }, x: 'y' },
      seq: 3,
      revision: 1,
    });
    ask((d) => h.system.patch('s', { title: null }, d));
    h.run(20);
    h.boot();
    const got = ask<{ title?: string; model: string }>((d) => h.system.get('s', d as never));
    h.run(20);
    expect(got.answer).toMatchObject({ model: 'big', metadata: { b: { c: 2 }, x: 'y' } });
    expect(got.answer).not.toHaveProperty('title');
  });

  test('[SV3] metadata that would grow above its bound is refused', () => {
    const h = new Harness({ metadataCharsMax: 40 });
    h.create('s');
    const out = ask((d) => h.system.patch('s', { metadata: { a: 'x'.repeat(50) } }, d));
    h.run(20);
    expect(out.answer).toBe('payload-too-large');
  });

  test('[SV3] so is a session that would begin with it; what is too long already may get shorter, and takes other changes', () => {
    const h = new Harness({ metadataCharsMax: 40 });
    const metadata = { a: 'x'.repeat(60) };
    const born = ask((d) => h.system.create({ sessionId: 's' as never, metadata }, d));
    h.run(20);
    expect(born.answer).toBe('payload-too-large');
    // From a time with a higher bound.
    const old = new Harness();
    ask((d) => old.system.create({ sessionId: 's' as never, metadata }, d));
    old.run(20);
    old.boot({ metadataCharsMax: 40 });
    const longer = ask((d) => old.system.patch('s', { metadata: { b: 1 } }, d));
    const title = ask((d) => old.system.patch('s', { title: 'T' }, d));
    const shorter = ask((d) => old.system.patch('s', { metadata: { a: 'x'.repeat(50) } }, d));
    old.run(20);
    expect([longer.answer, title.answer, shorter.answer]).toMatchObject([
      'payload-too-large',
      { title: 'T' },
      { metadata: { a: 'x'.repeat(50) } },
    ]);
  });

  test('[WP5, SV3] an edit of a waiting turn is held to the same size as a submit', () => {
    const h = new Harness({ contentBytesMax: 20 });
    h.create('s');
    h.submit('s', 'hang');
    const queued = h.submit('s', 'say later');
    h.run(20);
    const { turnId } = queued.answer as { turnId: string };
    const edit = { writerId: 'w' as never, content: 'é'.repeat(11) };
    const out = ask((d) => h.system.editQueued('s', turnId, edit, d));
    h.run(20);
    expect(out.answer).toBe('payload-too-large');
  });
});

describe('get', () => {
  test('[SV2] a state that is lost on the way to the disk is not waited for: the answer is what the log has', () => {
    const h = with1();
    h.faults.failing = 1;
    h.submit('s', 'say a');
    const got = ask((d) => h.system.get('s', d as never));
    expect(got.answer).toBe('none');
    h.run(200);
    h.faults.failing = 0;
    expect(got.answer).toMatchObject({ sessionId: 's', seq: 1, queue: [] });
  });
});

describe('delete', () => {
  test('[CX4, TQ3] what runs and waits ends as cancelled before the answer; nothing is taken on until it is restored', () => {
    const h = with1();
    h.attach('s');
    h.submit('s', 'call slow', { overrides: { dangerous: true } });
    h.submit('s', 'say queued');
    h.run(60);
    const out = ask((d) => h.system.delete('s', d));
    h.run(1);
    expect(out.answer).toBe('none');
    h.run(60);
    expect(h.killed).toEqual(['slow']);
    expect(out.answer).toMatchObject({ sessionId: 's', cancelled: 2 });
    expect(h.ends('s').map(([, outcome]) => outcome)).toEqual(['cancelled', 'cancelled']);
    const refused = [h.submit('s', 'say no'), ask((d) => h.system.patch('s', { title: 'x' }, d))];
    h.run(20);
    expect(refused.map(({ answer }) => answer)).toEqual(['session-deleted', 'session-deleted']);
    const restored = ask((d) => h.system.undelete('s', d));
    const taken = h.submit('s', 'say yes');
    h.run(200);
    expect(restored.answer).not.toHaveProperty('deletedAt');
    expect(taken.answer).toMatchObject({ queued: 0 });
  });

  test('[EV5] one that is put away already is not made again', () => {
    const h = with1();
    ask((d) => h.system.delete('s', d));
    const out = ask((d) => h.system.create({ sessionId: 's' as never }, d));
    h.run(20);
    expect(out.answer).toBe('session-deleted');
  });

  test('[CR1] a kill between the delete and the end of what ran leaves it deleted, and the turn cancelled', () => {
    const h = with1();
    h.attach('s');
    h.submit('s', 'call slow', { overrides: { dangerous: true } });
    h.run(60);
    ask((d) => h.system.delete('s', d));
    h.run(1);
    h.boot();
    h.run(50);
    expect(h.ends('s')).toEqual([['call slow', 'cancelled']]);
    const refused = h.submit('s', 'say no');
    const again = ask((d) => h.system.delete('s', d));
    h.run(20);
    expect(refused.answer).toBe('session-deleted');
    expect(again.answer).toMatchObject({ cancelled: 0 });
  });

  test('[SV3] a deleted session costs no memory after a while, and lists show it only when asked', () => {
    const h = with1();
    ask((d) => h.system.delete('s', d));
    h.run(1_500);
    expect(h.system.parts.registry.slots.size).toBe(0);
    const list = (page: object) => {
      const out = ask<{ sessions: { sessionId: string }[] }>((d) => h.system.list({ limit: 9, ...page }, d as never));
      h.run(20);
      return (out.answer as { sessions: { sessionId: string }[] }).sessions.map((s) => s.sessionId);
    };
    expect([list({}), list({ deleted: true })]).toEqual([[], ['s']]);
  });
});

describe('fork', () => {
  const messagesOf = (h: Harness, id: string): string[] => {
    const got = ask<{ messages: { role: string; content: string }[] }>((d) => h.system.get(id, d as never));
    h.run(20);
    return (got.answer as { messages: { role: string; content: string }[] }).messages.map(
      (m) => `${m.role}: ${m.content}`,
    );
  };

  test('[CR2] it begins with the conversation as it was at that seq, in the middle of a turn too', () => {
    const h = with1();
    h.submit('s', 'say one');
    h.run(100);
    h.submit('s', 'call read');
    h.run(100);
    const log = h.log('s');
    const full = messagesOf(h, 's');
    for (const atSeq of log.map((r) => r.seq)) {
      const out = ask<{ sessionId: string }>((d) => h.system.fork('s', { atSeq, sessionId: `f${atSeq}` }, d as never));
      h.run(40);
      expect(out.answer, String(atSeq)).toMatchObject({
        sessionId: `f${atSeq}`,
        forkedFrom: { sessionId: 's', atSeq },
        seq: 1,
      });
      const forked = ask<{ messages: { role: string; tool_calls?: unknown[] }[] }>((d) =>
        h.system.get(`f${atSeq}`, d as never),
      );
      h.run(20);
      const { messages } = forked.answer as { messages: { role: string; tool_calls?: unknown[] }[] };
      // Each call has exactly one result, wherever the cut fell.
      expect(messages.flatMap((m) => m.tool_calls ?? []).length).toBe(messages.filter((m) => m.role === 'tool').length);
    }
    expect(messagesOf(h, `f${log.length}`)).toEqual(full);
    expect(messagesOf(h, 'f1')).toEqual([]);
  });

  test('[EV1] it is a session of its own: the source does not change, and its id must be free', () => {
    const h = with1();
    h.submit('s', 'say one');
    h.run(100);
    const before = h.log('s');
    const out = ask((d) => h.system.fork('s', { sessionId: 'f', title: 'Fork' }, d));
    h.run(40);
    expect(out.answer).toMatchObject({ title: 'Fork' });
    const taken = ask((d) => h.system.fork('s', { sessionId: 's' }, d));
    const beyond = ask((d) => h.system.fork('s', { atSeq: 99 }, d));
    const unknown = ask((d) => h.system.fork('nope', {}, d));
    h.submit('f', 'say two');
    h.run(100);
    expect([taken, beyond, unknown].map(({ answer }) => answer)).toEqual([
      'session-exists',
      'invalid-request',
      'session-not-found',
    ]);
    expect(h.log('s')).toEqual(before);
    expect(messagesOf(h, 'f')).toEqual(['user: say one', 'assistant: one', 'user: say two', 'assistant: two']);
  });
});

describe('presence', () => {
  const reader = (seen: { present: PresenceEntry[]; total: number }[], open = { yes: true }) => ({
    send: () => undefined,
    bufferedBytes: () => 0,
    warn: () => undefined,
    close: () => {
      open.yes = false;
    },
    presence: (present: PresenceEntry[], total: number) => {
      seen.push({ present, total });
    },
  });

  test('[PR1] whoever asks is told who comes, says more, goes, and how far each has read', () => {
    const h = with1();
    const seen: { present: PresenceEntry[]; total: number }[] = [];
    const watcher = h.system.attach('s', 0, reader(seen), { role: 'controller', via: 'ws', clientId: 'tui' });
    watcher.introduce({}, true);
    h.run(100);
    expect(seen.at(-1)?.present).toMatchObject([{ clientId: 'tui', role: 'controller', cursor: 1, lag: 0 }]);
    const other = h.system.attach('s', 0, reader([]), { role: 'observer', via: 'sse' });
    h.run(100);
    expect(seen.at(-1)?.present.map((p) => p.role)).toEqual(['controller', 'observer']);
    other.introduce({ clientId: 'web', writerId: 'ada' });
    h.run(100);
    expect(seen.at(-1)?.present[1]).toMatchObject({ clientId: 'web', writerId: 'ada', via: 'sse' });
    h.submit('s', 'say hello');
    h.run(1_200);
    expect(seen.at(-1)?.present.map((p) => p.cursor)).toEqual([h.log('s').length, h.log('s').length]);
    other.detach();
    h.run(100);
    expect(seen.at(-1)?.total).toBe(1);
    expect(h.system.presence('s')).toHaveLength(1);
    watcher.detach();
    h.run(2_000);
    expect(h.system.presence('s')).toEqual([]);
  });

  test('[PR1, SV3] nothing is sent while nothing changes, and nobody who did not ask is told', () => {
    const h = with1();
    const seen: { present: PresenceEntry[]; total: number }[] = [];
    const silent: { present: PresenceEntry[]; total: number }[] = [];
    h.system.attach('s', 0, reader(seen)).introduce({}, true);
    const { presence: _, ...unasked } = reader(silent);
    h.system.attach('s', 0, unasked);
    h.run(200);
    const told = seen.length;
    h.run(30_000);
    expect([seen.length, silent.length]).toEqual([told, 0]);
  });

  test('[PM3, AC2] an observer is nobody who could answer: a call that asks is refused at once', () => {
    const h = with1();
    h.system.attach('s', 0, reader([]), { role: 'observer', via: 'ws' });
    h.submit('s', 'call write');
    h.run(60);
    expect(h.log('s').find((r) => r.event === 'permission.resolved')?.payload).toMatchObject({ reason: 'unattended' });
  });
});

describe('drain', () => {
  test('[SV2, TQ3] a running turn may end by itself for a while, what waits stays for the next start, then it is interrupted', () => {
    const h = new Harness({ drainGraceMs: 100 });
    h.create('s');
    h.create('u');
    h.submit('s', 'say soon');
    h.submit('s', 'say later');
    h.submit('u', 'hang');
    h.run(2);
    let stopped = false;
    h.system.stop(() => {
      stopped = true;
    });
    const refused = h.submit('s', 'say no');
    h.run(50);
    expect([refused.answer, stopped]).toEqual(['shutting-down', false]);
    expect(h.ends('s')).toEqual([['say soon', 'done']]);
    h.run(200);
    expect([h.ends('u'), stopped]).toEqual([[['hang', 'interrupted']], true]);
    h.boot();
    h.run(100);
    expect(h.ends('s').map(([content]) => content)).toEqual(['say soon', 'say later']);
  });
});

describe('drain and a crash', () => {
  test('[SV1, SV2] a session that fails while the daemon stops is not waited for', () => {
    const h = new Harness({ drainGraceMs: 1_000, drainDeadlineMs: 60_000 });
    h.create('s');
    h.submit('s', 'poison x');
    let stopped = false;
    h.system.stop(() => {
      stopped = true;
    });
    h.run(500);
    expect(stopped).toBe(true);
    h.boot();
    h.run(100);
    expect(h.ends('s').map(([, outcome]) => outcome)).toEqual(['interrupted']);
  });
});

describe('purge', () => {
  test('[SV3, EV1] what a deleted session held goes after its time; it cannot be restored, nor its id used again', () => {
    const h = new Harness({ deletedRetentionMs: 10_000 });
    h.create('s');
    h.create('kept');
    h.submit('s', 'say secret');
    h.run(100);
    ask((d) => h.system.delete('s', d));
    ask((d) => h.system.delete('kept', d));
    h.run(5_000);
    ask((d) => h.system.undelete('kept', d));
    const early = ask((d) => h.system.purge(d as never));
    h.run(6_000);
    const late = ask((d) => h.system.purge(d as never));
    h.run(100);
    expect([early.answer, late.answer]).toEqual([0, 1]);
    const get = ask((d) => h.system.get('s', d));
    const restore = ask((d) => h.system.undelete('s', d));
    const create = ask((d) => h.system.create({ sessionId: 's' as never }, d));
    const kept = ask<{ sessionId: string }>((d) => h.system.get('kept', d));
    h.run(50);
    expect([get, restore, create].map(({ answer }) => answer)).toEqual(Array(3).fill('session-deleted'));
    expect(kept.answer).toMatchObject({ sessionId: 'kept' });
    expect(JSON.stringify(h.log('s'))).not.toContain('secret');
    const copy = ask((d) => h.system.fork('s', {}, d));
    h.run(50);
    expect(copy.answer).toBe('session-deleted');
  });

  test('[EV2] who is attached when it goes is told, and nobody is served what is gone, or waits for it for ever', () => {
    const h = new Harness({ deletedRetentionMs: 1_000 });
    h.create('s');
    h.submit('s', 'say secret');
    h.run(100);
    ask((d) => h.system.delete('s', d));
    const frames: string[] = [];
    const told: string[] = [];
    const reader = {
      send: (frame: string) => void frames.push(frame),
      bufferedBytes: () => 0,
      warn: (code: string) => void told.push(`warned ${code}`),
      close: (code: string) => void told.push(code),
    };
    h.system.attach('s', 0, reader);
    h.run(2_000);
    h.boot({ deletedRetentionMs: 1_000 });
    h.system.attach('s', h.log('s').length, reader);
    h.run(2_000);
    expect(told).toEqual([]);
    const seen = frames.length;
    ask((d) => h.system.purge(d as never));
    h.run(100);
    expect(told).toEqual(['session-deleted']);
    h.system.attach('s', 0, reader);
    h.run(100);
    expect([told[1], frames.length]).toEqual(['warned session-not-found', seen]);
  });

  test('[EV5, EV1] whenever it is restored, it is back with all it had, or gone for good: never in between', () => {
    const ends = new Set<string>();
    for (let n = 0; n < 120; n++) {
      const h = new Harness({ deletedRetentionMs: 1_000 });
      h.create('s');
      h.submit('s', 'say kept');
      h.run(100);
      ask((d) => h.system.delete('s', d));
      h.run(50);
      h.boot({ deletedRetentionMs: 1_000 });
      h.run(2_000);
      h.faults.slow = 1;
      // Each read draws another latency for what comes after it.
      for (let i = 0; i < n % 10; i++) ask((d) => h.system.get('nobody', d as never));
      ask((d) => h.system.purge(d as never));
      h.run(n);
      const back = ask((d) => h.system.undelete('s', d));
      h.run(2_000);
      h.boot();
      const got = ask((d) => h.system.get('s', d as never));
      h.run(1_000);
      if (back.answer === 'session-deleted') expect(got.answer).toBe('session-deleted');
      else {
        expect(back.answer).toMatchObject({ sessionId: 's' });
        expect(JSON.stringify(got.answer)).toContain('kept');
      }
      ends.add(back.answer === 'session-deleted' ? 'gone' : 'back');
    }
    expect([...ends].sort()).toEqual(['back', 'gone']);
  });
});
