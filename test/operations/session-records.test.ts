import { describe, expect, test } from 'vitest';
import { findSessions, listItem, type SessionRow, sessionIdOf, tagsOf } from '../../src/operations/session-records.ts';
import { parseSince } from '../../src/operations/since.ts';
import type { Call } from '../../src/protocol/operations.ts';

const row = (sessionId: string, more: Partial<SessionRow> = {}): SessionRow => ({
  sessionId,
  model: 'Big-Model',
  createdAt: '2026-01-02T00:00:00.000Z',
  updatedAt: '2026-01-03T00:00:00.000Z',
  seq: 1,
  toolCallCount: 0,
  messageCount: 0,
  queuedTurns: 0,
  ...more,
});

/** A daemon with these sessions that gives two at a time, whatever is asked for, and finds words in ids. */
const daemonOf = (rows: SessionRow[]): Call =>
  (async (id: string, fields: { query?: { q?: string; cursor?: string }; params?: { id?: string } }) => {
    if (id === 'events.read') return { events: rows.some((r) => r.sessionId === fields.params?.id) ? [{}] : [] };
    const { q = '', cursor = '0' } = fields.query ?? {};
    const found = rows.filter((r) => r.sessionId.toLowerCase().includes(q.toLowerCase()));
    const at = Number(cursor);
    const next = at + 2 < found.length ? { cursor: String(at + 2) } : {};
    return { sessions: found.slice(at, at + 2), total: rows.length, ...next };
  }) as unknown as Call;

const ids = (rows: SessionRow[]): string[] => rows.map((r) => r.sessionId);

describe('finding sessions', () => {
  test('[SE1] the limit counts what passes the filters, over as many pages as it takes', async () => {
    const call = daemonOf([
      row('a', { tags: ['x'] }),
      row('b'),
      row('c', { tags: ['y', 'x'], model: 'small' }),
      row('d', { tags: ['xy'] }),
      row('e', { tags: ['x'], createdAt: '2025-06-01T00:00:00.000Z' }),
    ]);
    expect(ids(await findSessions(call, { tag: 'x', limit: 2 }))).toEqual(['a', 'c']);
    expect(ids(await findSessions(call, { tag: 'x' }))).toEqual(['a', 'c', 'e']);
    expect(ids(await findSessions(call, { model: 'big-m', tag: 'x' }))).toEqual(['a', 'e']);
    expect(ids(await findSessions(call, { sinceMs: Date.parse('2026-01-01'), tag: 'x' }))).toEqual(['a', 'c']);
  });

  test('[SE1] an id may be cut short while only one begins with it; two are an error that names them', async () => {
    const call = daemonOf([row('abcd1111'), row('abcd2222'), row('ABCD'), row('wxyzabcd'), row('qrst')]);
    expect(await sessionIdOf(call, 'qrst')).toBe('qrst');
    expect(await sessionIdOf(call, 'abcd1')).toBe('abcd1111');
    // One whole id that another begins with is itself.
    expect(await sessionIdOf(daemonOf([row('abcd'), row('abcd1')]), 'abcd')).toBe('abcd');
    await expect(sessionIdOf(call, 'abcd')).rejects.toMatchObject({
      code: 'invalid-request',
      message: 'More than one session begins with abcd: abcd1111, abcd2222',
    });
    // Too short to mean one, no id at all, or nobody's: the operation says so itself.
    for (const text of ['qrs', 'nobody', '../../etc', '']) expect(await sessionIdOf(call, text)).toBe(text);
  });

  test('[SE1] --since takes days, weeks, months and ISO times, and nothing else', () => {
    const now = new Date('2026-03-15T12:00:00.000Z');
    const days = (text: string): number => Math.round((now.getTime() - (parseSince(text, now) ?? 0)) / 86_400_000);
    expect([days('7d'), days('2w'), days('1m')]).toEqual([7, 14, 28]);
    expect(parseSince('2026-01-31', now)).toBe(Date.parse('2026-01-31'));
    expect(parseSince('2026-01-31T10:00:00+02:00', now)).toBe(Date.parse('2026-01-31T08:00:00Z'));
    for (const bad of ['', 'soon', '7', '7y', '-7d', '2026', '2026-13-40', '5 '])
      expect(parseSince(bad, now)).toBeNull();
  });
});

test('[SE2] a list item has the members that scripts know, in their order, before ours', () => {
  const item = listItem(row('a', { title: '', tags: ['x'], toolCallCount: 3, messageCount: 2 }));
  expect(Object.keys(item).slice(0, 7)).toEqual([
    'id',
    'title',
    'tags',
    'model',
    'created',
    'messageCount',
    'toolCallCount',
  ]);
  expect(item).toMatchObject({ title: '(untitled)', tags: ['x'], created: '2026-01-02T00:00:00.000Z' });
  expect([tagsOf(undefined), tagsOf({ tags: 'x' }), tagsOf({ tags: ['x', 1, 'y'] })]).toEqual([[], [], ['x', 'y']]);
});
