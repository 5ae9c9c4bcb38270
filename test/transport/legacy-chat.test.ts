import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { type Asked, type MemoryAdapter, memoryAdapter, settle } from './memory-adapter.ts';
import { AUTH, type World, world } from './world.ts';

/** `POST /v1/chat` where it is hard to time from outside. */
let w: World;
let adapter: MemoryAdapter;
beforeEach(async () => {
  adapter = memoryAdapter();
  w = await world({ adapter });
});
afterEach(() => w.close());

const chat = (body: object): Asked => adapter.ask('/v1/chat', AUTH, 'POST', JSON.stringify(body));
const answerOf = (asked: Asked) => [asked.reply?.status, JSON.parse(asked.reply?.body ?? 'null')];
const STATS = {
  ...{ tokens: 1, promptTokens: 1, completionTokens: 1, toolCalls: 0, elapsed: 1, elapsedMs: 1 },
  ...{ speed: 1, firstTokenLatencyMs: null },
};
const who = { writerId: 'legacy-http', clientId: 'legacy-http' };

test('[SH1] only this turn counts, and of it the last step: another turn of the session changes nothing', async () => {
  const asked = chat({ message: 'x', session_id: 's' });
  await settle();
  const say = (turnId: string, step: number, text: string) =>
    w.runtime.record('s', 'turn.token', { turnId, step, text });
  say('turn-1', 1, 'first ');
  say('other', 1, 'turn-1 said by another');
  say('turn-1', 2, 'last ');
  say('turn-1', 2, 'words');
  w.runtime.record('s', 'turn.done', { turnId: 'other', ...who, stats: STATS, outcome: 'done' });
  await settle();
  expect(asked.reply).toBeNull();
  w.runtime.record('s', 'turn.done', { turnId: 'turn-1', ...who, stats: STATS, outcome: 'done' });
  await settle();
  expect(answerOf(asked)).toMatchObject([200, { response: 'last words', turn_id: 'turn-1' }]);
  expect(w.runtime.attachments.size).toBe(0);
});

test('[SH1, EV5] the end that a reader was sent is no answer yet: it leaves when that end is on disk, or says that it is not', async () => {
  const held: ((error: OptaError | null) => void)[] = [];
  const flushed = vi.spyOn(w.runtime, 'flushed').mockImplementation((_id, _seq, done) => {
    held.push((error) => done(error, undefined));
  });
  const asked = ['a', 'b'].map((session_id) => chat({ message: 'x', session_id }));
  await settle();
  const ends = ['a', 'b'].map((id, i) =>
    w.runtime.record(id, 'turn.done', { turnId: `turn-${i + 1}`, ...who, stats: STATS, outcome: 'done' }),
  );
  await settle();
  expect(ends).toHaveLength(2);
  expect(asked.map(({ reply }) => reply)).toEqual([null, null]);
  expect(flushed.mock.calls.map(([id]) => id)).toEqual(['a', 'b']);
  held[0]?.(null);
  held[1]?.(new OptaError('storage', 'It could not be stored.'));
  await settle();
  expect(asked.map((one) => answerOf(one))).toMatchObject([
    [200, { turn_id: 'turn-1' }],
    [507, { code: 'storage', session_id: 'b', turn_id: 'turn-2' }],
  ]);
});

test('[SH5] who leaves before the submit was answered: the turn is cancelled once it is known, or never submitted', async () => {
  const cancel = vi.spyOn(w.runtime, 'cancel');
  w.runtime.seed('s');
  const before = chat({ message: 'never', session_id: 's' });
  before.leave();
  await settle();
  expect([w.runtime.submits, cancel.mock.calls.length]).toEqual([[], 0]);

  const during = chat({ message: 'submitted', session_id: 's' });
  await vi.waitUntil(() => w.runtime.submits.length === 1);
  during.leave();
  await settle();
  expect(cancel.mock.calls.map(([id, target]) => [id, target])).toEqual([['s', { turnId: 'turn-1' }]]);
  expect(w.runtime.attachments.size).toBe(0);
});

test('[SH5] a turn that cannot be followed is cancelled: nobody would be told how it ends', async () => {
  const cancel = vi.spyOn(w.runtime, 'cancel');
  w.runtime.attachFault = new OptaError('too-many-requests', 'There are 12000 attachments already.');
  const asked = chat({ message: 'x', session_id: 's' });
  await settle();
  expect(answerOf(asked)).toMatchObject([429, { code: 'too-many-requests', session_id: 's', turn_id: 'turn-1' }]);
  expect(cancel).toHaveBeenCalledOnce();
});

test('[SV3] so many may wait and no more, and those that left make room', async () => {
  const waiting = Array.from({ length: LIMITS.chatWaitsMax }, (_, i) => chat({ message: 'x', session_id: `s${i}` }));
  await settle();
  const refused = chat({ message: 'one too many' });
  await settle();
  expect(answerOf(refused)).toMatchObject([429, { code: 'too-many-requests', retryable: true }]);
  expect(w.runtime.submits).toHaveLength(LIMITS.chatWaitsMax);
  waiting[0]?.leave();
  await settle();
  const fits = chat({ message: 'fits', session_id: 'fits' });
  await settle();
  expect([fits.reply, w.runtime.submits.at(-1)]).toEqual([null, 'fits']);
});
