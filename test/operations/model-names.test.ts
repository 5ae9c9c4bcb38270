import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchModels, resolveModel } from '../../src/operations/model-names.ts';
import { OptaError } from '../../src/protocol/errors.ts';

const IDS = ['acme/Big-32B', 'acme/big-4B-instruct', 'other/Big-32B-chat', 'other/small', 'small'];

describe('[MD2] a name is looked for exactly, then by its beginning, any part, and its words', () => {
  const CASES: [wanted: string, by: string, ids: string[]][] = [
    ['small', 'exact', ['small']],
    ['other/SMALL', 'exact', ['other/small']],
    ['SMALL', 'exact', ['small']],
    // Without its owner it is the whole name of one, and the beginning of another.
    ['big-32b', 'exact', ['acme/Big-32B']],
    ['acme/', 'prefix', ['acme/Big-32B', 'acme/big-4B-instruct']],
    ['big-3', 'prefix', ['acme/Big-32B', 'other/Big-32B-chat']],
    ['instruct', 'substring', ['acme/big-4B-instruct']],
    ['32b', 'substring', ['acme/Big-32B', 'other/Big-32B-chat']],
    ['instr acme', 'token', ['acme/big-4B-instruct']],
    ['chat 32b big', 'token', ['other/Big-32B-chat']],
    ['70b', 'none', []],
    ['', 'none', []],
    ['  ', 'none', []],
    ['/-', 'none', []],
  ];
  test.each(CASES)('%j by %s', (wanted, by, ids) => {
    expect(matchModels(wanted, IDS)).toEqual({ by, ids });
  });

  test('every id finds itself and nothing else, and what is found is among what was there', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9./_-]{1,24}$/);
    fc.assert(
      fc.property(fc.uniqueArray(id, { minLength: 1, maxLength: 8 }), fc.string({ maxLength: 8 }), (ids, any) => {
        for (const one of ids) expect(matchModels(one, ids)).toEqual({ by: 'exact', ids: [one] });
        for (const found of matchModels(any, ids).ids) expect(ids).toContain(found);
      }),
    );
  });

  const failure = (wanted: string, aliases = {}): OptaError => {
    try {
      resolveModel(wanted, IDS, aliases, 'is loaded');
    } catch (cause) {
      if (cause instanceof OptaError) return cause;
    }
    throw new Error(`${wanted} was found`);
  };
  test('several are an error that names them, none is another, and an alias comes before both', () => {
    expect(failure('32b')).toMatchObject({ code: 'invalid-request', facts: { candidates: [IDS[0], IDS[2]] } });
    expect(failure('70b')).toMatchObject({ code: 'not-found' });
    expect(failure('70b').message).toBe(
      'No model named "70b" is loaded: there are acme/Big-32B, acme/big-4B-instruct, other/Big-32B-chat, other/small, small',
    );
    expect(resolveModel('fast', IDS, { fast: 'instruct' }, '')).toBe('acme/big-4B-instruct');
    expect(resolveModel('small', IDS, { small: 'instruct' }, '')).toBe('acme/big-4B-instruct');
    expect(failure('fast', { fast: 'gone' }).message).toContain('"gone"');
    expect(() => resolveModel('toString', IDS, {}, 'is loaded')).toThrow('No model named "toString"');
  });
});
