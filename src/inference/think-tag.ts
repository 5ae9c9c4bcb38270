/**
 * Parts inline thinking from text. A tag counts only where the text starts with it: anywhere else it is the model's text and
 * passes byte for byte. Held back is never more than what is needed to rule a tag out, one character less than its length.
 */
const OPEN = '<think>';
const CLOSE = '</think>';

export interface ThinkTag {
  push(delta: string): void;
  /** The text ended: what was held back is given out. */
  flush(): void;
}

export const createThinkTag = (text: (s: string) => void, thinking: (s: string) => void): ThinkTag => {
  let at: 'start' | 'inside' | 'after' = 'start';
  let held = '';
  const give = (to: (s: string) => void, s: string) => {
    if (s !== '') to(s);
  };
  const inside = (s: string): void => {
    const end = s.indexOf(CLOSE);
    if (end >= 0) {
      at = 'after';
      held = '';
      give(thinking, s.slice(0, end));
      give(text, s.slice(end + CLOSE.length));
      return;
    }
    held = openTail(s);
    give(thinking, s.slice(0, s.length - held.length));
  };
  return {
    push: (delta) => {
      if (at === 'after') return give(text, delta);
      const s = held + delta;
      if (at === 'inside') return inside(s);
      if (s.startsWith(OPEN)) {
        at = 'inside';
        return inside(s.slice(OPEN.length));
      }
      if (OPEN.startsWith(s)) {
        held = s;
        return;
      }
      at = 'after';
      held = '';
      give(text, s);
    },
    flush: () => {
      const s = held;
      held = '';
      give(at === 'inside' ? thinking : text, s);
    },
  };
};

/** The longest end of `s` that could grow into the closing tag. */
const openTail = (s: string): string => {
  for (let n = Math.min(CLOSE.length - 1, s.length); n > 0; n--) if (CLOSE.startsWith(s.slice(-n))) return s.slice(-n);
  return '';
};
