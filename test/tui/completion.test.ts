import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expandReferences } from '../../src/cli/chat/references.ts';
import { begunAt, Completion, referenceTo } from '../../src/tui/completion.ts';
import { Composer } from '../../src/tui/composer.ts';
import { rowWidth } from '../../src/tui/text.ts';
import { hostile, STEERS, textOf } from './talk.ts';

const COMMANDS = [
  { name: 'sessions', about: 'lists sessions' },
  { name: 'status', about: 'what is going on' },
  { name: 'exit', about: 'leaves', aliases: ['quit'] },
];

const desk = (files: (typed: string) => Promise<readonly string[]> = async () => []) => {
  const composer = new Composer();
  let drawn = 0;
  const completion = new Completion({ commands: () => COMMANDS, files }, () => {
    drawn += 1;
  });
  const type = (text: string): void => {
    composer.insert(text);
    completion.look(composer);
  };
  const shown = (max = 8): string[] => completion.rows(40, max).map((row) => textOf(row).trim().replace(/ +/g, ' '));
  return { composer, completion, type, shown, drawn: () => drawn };
};
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('completion', () => {
  test.each([
    ['/', true, { kind: 'command', typed: '', chars: 1 }],
    ['/se', true, { kind: 'command', typed: 'se', chars: 3 }],
    ['/se', false, null],
    ['/se x', true, null],
    ['/tmp/a', true, null],
    ['see @', true, { kind: 'file', typed: '', chars: 1 }],
    ['see @a/b.t', false, { kind: 'file', typed: 'a/b.t', chars: 6 }],
    ['see @"my f', true, { kind: 'file', typed: 'my f', chars: 6 }],
    ['see @"my f"', true, null],
    ['a@b', true, null],
    ['@a b', true, null],
  ] as const)('what is begun in %j', (text, first, begun) => {
    expect(begunAt({ text, first })).toEqual(begun);
  });

  test('its own name comes before another’s alias, unless that is written out', () => {
    const commands = [
      { name: 'cancel', about: '', aliases: ['stop', 'q'] },
      { name: 'sessions', about: '' },
      { name: 'status', about: '' },
      { name: 'queue', about: '' },
    ];
    const first = (typed: string): string | undefined => {
      const composer = new Composer();
      const completion = new Completion({ commands: () => commands, files: async () => [] }, () => undefined);
      composer.insert(typed);
      completion.look(composer);
      completion.accept(composer);
      return composer.text.trim();
    };
    expect(['/s', '/S', '/st', '/sto', '/stop', '/q', '/qu'].map(first)).toEqual([
      '/status',
      '/status',
      '/status',
      '/cancel',
      '/cancel',
      '/cancel',
      '/queue',
    ]);
  });

  test('a command is found by its beginning, its letters or another name; Tab writes its name and nothing more', () => {
    const { composer, completion, type, shown } = desk();
    type('/s');
    expect(shown()).toEqual(['/status what is going on', '/sessions lists sessions']);
    completion.move(1);
    completion.move(1);
    completion.move(-1);
    expect(completion.accept(composer)).toBe(true);
    expect(composer.text).toBe('/sessions ');
    expect(completion.open).toBe(false);
    composer.clear();
    type('/qu');
    expect(shown()).toEqual(['/exit leaves']);
    composer.clear();
    type('/exit');
    expect([completion.open, completion.idle]).toEqual([true, true]);
    type('x');
    expect(completion.open).toBe(false);
    expect(completion.accept(composer)).toBe(false);
  });

  test('what was closed stays closed until something else is begun', () => {
    const { composer, completion, type } = desk();
    type('/s');
    completion.close();
    type('e');
    expect(completion.open).toBe(false);
    composer.clear();
    completion.look(composer);
    type('/');
    expect(completion.open).toBe(true);
  });

  test('files are found behind an @; a folder goes on, a name with blanks is put in quotes', async () => {
    const asked: string[] = [];
    const { composer, completion, type, shown, drawn } = desk(async (typed) => {
      asked.push(typed);
      return typed.startsWith('my dir/') ? ['my dir/A b.txt'] : ['src/text.ts', 'my dir/', 'README.md'];
    });
    type('see @');
    expect(completion.open).toBe(false);
    await settled();
    expect(drawn()).toBe(1);
    expect(shown()).toEqual(['src/text.ts', 'my dir/', 'README.md']);
    type('m');
    expect(shown()[0]).toBe('my dir/');
    await settled();
    completion.accept(composer);
    expect(composer.text).toBe('see @"my dir/');
    await settled();
    expect(shown()).toEqual(['my dir/A b.txt']);
    completion.accept(composer);
    expect(composer.text).toBe('see @"my dir/A b.txt" ');
    expect(asked).toEqual(['', 'm', 'my dir/']);
    type('@READ');
    await settled();
    completion.accept(composer);
    expect(composer.text).toBe('see @"my dir/A b.txt" @"README.md" ');
  });

  test('an answer that comes late, or not at all, changes nothing', async () => {
    const answers: { [typed: string]: (files: readonly string[]) => void } = {};
    const { completion, type, shown, drawn } = desk(
      (typed) =>
        new Promise((resolve, reject) => {
          answers[typed] = resolve;
          if (typed === 'abc') reject(new Error('gone'));
        }),
    );
    type('@a');
    type('b');
    answers.ab?.(['ab.ts']);
    await settled();
    answers.a?.(['a.ts', 'ab2.ts']);
    await settled();
    expect(shown()).toEqual(['ab.ts']);
    type('c');
    await settled();
    expect([completion.open, drawn()]).toEqual([false, 2]);
  });

  test('what is written for a path is read as that path', () => {
    const unit = fc.constantFrom('a', 'B', ' ', '"', '.', '/', '~', '_', '你', ')', '\u0007', '\n');
    const name = fc
      .tuple(fc.constantFrom('q', 'Q', './q', '~/q', '/q'), fc.string({ unit, maxLength: 5 }))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(name, (path) => {
        const written = referenceTo(path);
        if (written === null) return;
        // A name that ends like a sentence is looked for as it stands first: the note says which one.
        const { notes } = expandReferences(`x ${written} `, '/nowhere', []);
        if (/[./]/.test(path)) expect(notes).toEqual([`@${path}: no such file`]);
        else expect(notes).toEqual([]);
      }),
    );
  });

  test('[CT10] rows fit, and the chosen one is among them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(hostile),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(9),
        async (files, width, max, down) => {
          const { completion, type } = desk(async () => files);
          type('@');
          await settled();
          for (let i = 0; i < down; i++) completion.move(1);
          const rows = completion.rows(width, max);
          expect(rows.length).toBeLessThanOrEqual(max);
          if (completion.open) expect(rows.filter((row) => row.some(([, style]) => style === 'chosen')).length).toBe(1);
          for (const row of rows) {
            expect(rowWidth(row)).toBeLessThanOrEqual(width);
            expect(textOf(row)).not.toMatch(STEERS);
          }
        },
      ),
    );
  });
});
