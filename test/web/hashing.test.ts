import { afterEach, expect, test, vi } from 'vitest';
import { emptySession, type SessionState } from '../../src/protocol/session-state.ts';
import { stateHash } from '../../src/protocol/state-hash.ts';
import { Hashing } from '../../src/web/pages/session/hashing.ts';

afterEach(() => vi.unstubAllGlobals());

const stateOf = (count: number): SessionState => ({
  ...emptySession('s'),
  seq: count,
  messages: Array.from({ length: count }, (_, i) => ({
    role: i % 2 ? 'assistant' : 'user',
    content: `é ${i} "quoted"`,
  })),
});

test('the page hashes a state as everybody does, however it gets there', async () => {
  const hashing = new Hashing();
  const state = stateOf(100);
  expect(await hashing.hash(state)).toBe(stateHash(state));
  expect(hashing.prepare(state)).toBe(true);
  expect(await hashing.hash(state)).toBe(stateHash(state));
  // Another state that shares messages with it.
  const next: SessionState = { ...state, seq: 101, messages: [...state.messages, { role: 'user', content: 'more' }] };
  expect(hashing.prepare(next)).toBe(true);
  expect(await hashing.hash(next)).toBe(stateHash(next));
  vi.stubGlobal('crypto', {});
  expect(await hashing.hash(next)).toBe(stateHash(next));
});

test('it stops when its time is up, and goes on with what is not written yet', () => {
  const hashing = new Hashing();
  const state = stateOf(1_000);
  let looks = 0;
  while (!hashing.prepare(state, () => true)) {
    looks += 1;
    expect(looks).toBeLessThan(1_000);
  }
  expect(looks).toBeGreaterThan(10);
  expect(hashing.prepare(state, () => true)).toBe(true);
});
