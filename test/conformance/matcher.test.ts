import { describe, expect, test } from 'vitest';
import { vectorsOf } from './format.ts';
import { type Captures, filled, type Json, matches } from './matcher.ts';
import { membersOf } from './wire.ts';

const holds = (pattern: Json, value: Json | undefined, captures: Captures = new Map()): boolean =>
  matches(pattern, value, captures);

describe('matchers', () => {
  test.each<[pattern: Json, yes: (Json | undefined)[], no: (Json | undefined)[]]>([
    ['a', ['a'], ['b', 1, undefined, ['a']]],
    [null, [null], [undefined, 0]],
    [{}, [{}, { a: 1 }], [undefined, null, 'a', []]],
    [{ a: 1 }, [{ a: 1, b: 2 }], [{ a: '1' }, { b: 1 }, {}]],
    [[1, { a: 2 }], [[1, { a: 2, b: 3 }]], [[1], [1, { a: 2 }, 3], [{ a: 2 }, 1]]],
    [[], [[]], [[1], {}, undefined]],
    [{ a: { $absent: true } }, [{}, { b: 1 }], [{ a: null }, { a: 1 }]],
    [{ a: { $absent: false } }, [{ a: null }], [{}]],
    [{ $is: 'string' }, ['x'], ['', 1, null, undefined]],
    [{ $is: 'integer' }, [0, -3], [1.5, '1', undefined]],
    [{ $is: 'boolean' }, [false], [0, 'false']],
    [{ $is: 'time' }, ['2026-11-23T14:02:32.101Z'], ['2026-11-23', 'now', 5]],
    [{ $not: 'a' }, ['b', undefined], ['a']],
    [{ $any: ['a', { b: 1 }] }, ['a', { b: 1, c: 2 }], ['b', {}]],
    [{ $above: 3 }, [4, 3.5], [3, '4', undefined]],
    [{ $contains: 'ell' }, ['hello'], ['help', 5, ['ell']]],
    [{ $has: { a: 1 } }, [[0, { a: 1 }]], [[], [{ a: 2 }], { a: 1 }]],
    [{ $is: 'integer', $above: 2 }, [3], [2, 3.5]],
  ])('%j', (pattern, yes, no) => {
    for (const value of yes) expect(holds(pattern, value), JSON.stringify(value)).toBe(true);
    for (const value of no) expect(holds(pattern, value), JSON.stringify(value)).toBe(false);
  });

  test('$as keeps what it meets, and only when the whole pattern holds', () => {
    const captures: Captures = new Map();
    const pattern = { id: { $as: 'id' }, kind: 'b' };
    expect(matches(pattern, { id: 1, kind: 'a' }, captures)).toBe(false);
    expect(captures.has('id')).toBe(false);
    expect(matches(pattern, { id: 2, kind: 'b' }, captures)).toBe(true);
    expect(captures.get('id')).toBe(2);
    expect(matches({ $as: 'none' }, null, captures)).toBe(false);
    // Within one pattern what was met first can be named after it.
    expect(matches([{ $as: 'x' }, '${x}'], [5, 5], captures)).toBe(true);
    expect(matches([{ $as: 'x' }, '${x}'], [5, 6], captures)).toBe(false);
  });

  test('captures are put in as values where they stand alone, and as text within text', () => {
    const captures: Captures = new Map<string, Json>([
      ['n', 7],
      ['s', 'x'],
    ]);
    expect(filled({ a: '${n}', b: ['${s}${n}'] }, captures)).toEqual({ a: 7, b: ['x7'] });
    expect(filled({ $say: { text: 'a' }, words: 'w' }, captures)).toBe('w @@{"text":"a"}@@');
    expect(() => filled('${nobody}', captures)).toThrow('nothing is captured as nobody');
  });

  test('what is misspelt is an error and not a check that always holds', () => {
    expect(() => holds({ $is: 'strng' }, 'x')).toThrow('no kind strng');
    expect(() => holds({ $isnt: 'x' }, 'x')).toThrow('no rule $isnt');
    const vector = (step: object): string =>
      JSON.stringify({ format: 1, rules: ['EV1'], title: 't', vectors: [{ name: 'n', steps: [step] }] });
    expect(vectorsOf(vector({ http: 'GET /health', status: 200 }))).toHaveLength(1);
    expect(() => vectorsOf(vector({ http: 'GET /health', status: 200, anwser: {} }))).toThrow();
    expect(() => vectorsOf(vector({ event: 'reader', si: {} }))).toThrow();
  });
});

test('members of an array are cut out as the text has them', () => {
  const events = ['{"a": [1, {"b":"],}\\""}]}', '{ }', '"x,y"', '1.0'];
  expect(membersOf(`{"x":{"y":[0]},"events":[${events.join(' , ')}],"more":true}`, 'events')).toEqual(events);
  expect(membersOf('{"events":[]}', 'events')).toEqual([]);
  expect(() => membersOf('{"events":[{"a":1}', 'events')).toThrow('ends in the middle');
});
