import type { Composer } from './composer.ts';
import type { Key } from './keys.ts';

/** What keys do to a text that is being written: those that every line editor has. */
export const edit = (composer: Composer, { name, ctrl, meta, text }: Key): void => {
  if (ctrl) return CTRL[name]?.(composer);
  if (meta && META[name]) return META[name]?.(composer);
  if (PLAIN[name]) return PLAIN[name]?.(composer);
  if (text !== '') composer.insert(text);
};

type Edits = { readonly [name: string]: (composer: Composer) => void };

const CTRL: Edits = {
  a: (c) => c.home(),
  e: (c) => c.end(),
  u: (c) => c.cut(),
  w: (c) => c.cutWord(),
  y: (c) => c.yank(),
  j: (c) => c.insert('\n'),
  d: (c) => c.delete(),
  left: (c) => c.wordLeft(),
  right: (c) => c.wordRight(),
};

const META: Edits = {
  b: (c) => c.wordLeft(),
  f: (c) => c.wordRight(),
  d: (c) => c.cutWordRight(),
  left: (c) => c.wordLeft(),
  right: (c) => c.wordRight(),
  backspace: (c) => c.cutWord(),
};

const PLAIN: Edits = {
  backspace: (c) => c.backspace(),
  delete: (c) => c.delete(),
  left: (c) => c.left(),
  right: (c) => c.right(),
  home: (c) => c.home(),
  end: (c) => c.end(),
  up: (c) => c.up(),
  down: (c) => c.down(),
  // A line feed: Ctrl+J, or a terminal that says Enter otherwise.
  enter: (c) => c.insert('\n'),
};
