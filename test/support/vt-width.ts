/**
 * How many columns a terminal of today gives a character. Of its own, beside the table that the full screen draws by: when the two
 * disagree, a border moves, and that is what the tests look for.
 */
const WIDE: readonly (readonly [from: number, to: number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe52],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x20000, 0x2fffd],
  [0x30000, 0x3fffd],
];

const NOTHING = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff\ud7b0-\ud7ff]$/u;
const EMOJI = /^\p{Emoji_Presentation}$/u;

export const columnsOf = (codepoint: number): 0 | 1 | 2 => {
  if (codepoint < 0x300) return codepoint === 0 ? 0 : 1;
  const text = String.fromCodePoint(codepoint);
  if (NOTHING.test(text)) return 0;
  if (WIDE.some(([from, to]) => codepoint >= from && codepoint <= to) || EMOJI.test(text)) return 2;
  return 1;
};

/** As xterm packs it: the width in bits 1 and 2, and whether the character joins the one before it in bit 0. */
const packed = (columns: number, joins: boolean): number => (columns << 1) | (joins ? 1 : 0);

export const WIDTHS = {
  version: 'opta-test',
  wcwidth: columnsOf,
  charProperties: (codepoint: number, before: number): number => {
    const own = columnsOf(codepoint);
    const base = (before >> 1) & 3;
    return own === 0 && before !== 0 && base !== 0 ? packed(base, true) : packed(own, false);
  },
};
