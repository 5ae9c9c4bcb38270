import { describe, expect, test } from 'vitest';
import { ACTIONS, type Action, Bindings } from '../../src/tui/bindings.ts';
import { helpLines } from '../../src/tui/help.ts';
import type { Key } from '../../src/tui/keys.ts';

const press = (name: string, mods: Partial<Key> = {}): Key => ({
  name,
  ctrl: false,
  meta: false,
  shift: false,
  text: '',
  ...mods,
});

describe('keys', () => {
  test('[TM3] no two actions have one key, and each key that is named does what it is named for', () => {
    const { all, notes } = new Bindings();
    expect(notes).toEqual([]);
    expect(new Set(all.map(({ key }) => key)).size).toBe(all.length);
    expect(all.map(({ action }) => action).sort()).toEqual(Object.keys(ACTIONS).sort());
  });

  test.each<[Key, Action | undefined]>([
    [press('return'), 'submit'],
    [press('return', { meta: true }), 'newline'],
    [press('k', { ctrl: true }), 'palette'],
    [press('tab', { shift: true }), 'mode'],
    [press('/', { ctrl: true }), 'help-too'],
    [press('up', { shift: true }), 'lines-up'],
    [press('up', { meta: true }), 'card-before'],
    [press('escape'), 'back'],
    [press('enter'), undefined],
    [press('a', { text: 'a' }), undefined],
    [press('a', { text: 'A', shift: true }), undefined],
  ])('[TM3] %j is %s', (key, action) => {
    expect(new Bindings().of(key)).toBe(action);
  });

  test('[TM3] a file gives actions other keys; what it takes from another, what it does not know and what writes is said', () => {
    const bindings = new Bindings({
      palette: { key: 'Ctrl+O', description: 'everything' },
      help: { key: 'F2' },
      nonsense: { key: 'f3' },
      queue: { key: 'q' },
      sidebar: { key: 'F2' },
      model: { key: 'ctrl+shift+alt' },
    });
    expect(bindings.of(press('o', { ctrl: true }))).toBe('palette');
    expect(bindings.of(press('f2'))).toBe('help');
    expect(bindings.of(press('q', { text: 'q' }))).toBeUndefined();
    expect(bindings.of(press('b', { ctrl: true }))).toBe('sidebar');
    expect(bindings.of(press('q', { meta: true }))).toBe('queue');
    expect(bindings.label('sessions')).toBe('');
    expect(bindings.notes).toHaveLength(5);
    expect(bindings.notes.join('\n')).toMatch(
      /nonsense[\s\S]*q is no key[\s\S]*f2 is given to help and sidebar[\s\S]*alt[\s\S]*sessions has no key now; ctrl\+o is that of palette/,
    );
    expect(helpLines(bindings).find((line) => line.startsWith('Ctrl+O'))).toContain('everything');
  });
});
