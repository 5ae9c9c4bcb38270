import { ESC } from '../support/vt.ts';

const BEL = '\u0007';
const ST = `${ESC}\\`;

/** What would steer a terminal if it came through: each names itself, so that it is found among what the screen writes of its own. */
export const CONTROLS = [
  `${ESC}[31;47;5;104mPAINT`,
  `${ESC}]52;c;SE9TVElMRQ==${BEL}`,
  `${ESC}]8;;http://hostile.invalid/${ST}LINK${ESC}]8;;${ST}`,
  `${ESC}]0;hostile title${BEL}`,
  `${ESC}P+q544e${ST}`,
  `${ESC}_hostile${ST}`,
  `${ESC}[6n${ESC}[c`,
  `${ESC}[?1049l${ESC}[?2004l${ESC}[?25l${ESC}[?1003h`,
  `${ESC}c${ESC}[!p${ESC}[3J`,
  `${ESC}[7;7H${ESC}[5;9r${ESC}(0`,
  '\u009b31mC1\u009d52;c;SE9TVElMRQ==\u009c\u0090x\u009c',
  '\u202eright\u202c\u2066isolated\u2069\u200e\u200f\u061c',
  'back\b\b\b\b\u000b\u000c\u000e\u000f\u007f\u0000 ',
  'over\rwritten',
].join(' ');

/** What is not as wide as it is long. */
export const WIDE = [
  '你好世界',
  '한국어',
  'カタカナ',
  'ｶﾅ',
  '😀🚀✅',
  '👨‍👩‍👧‍👦',
  '👩‍🚀',
  '🏳️‍🌈',
  '🇩🇪🇯🇵',
  '👍🏽',
  '❤️',
  'e\u0301\u0302\u0303',
  'z\u0334\u0335\u0336\u0337',
  'ก็กี่',
  'नमस्ते',
  'مرحبا',
  'שלום',
  '\u200b\u200d\ufeff\u00ad',
  'ﷺ',
].join(' ');

export const HOSTILE = `${CONTROLS} ${WIDE}`;

const CONTROL = new RegExp(['\\0', '\\x08', '\\v', '\\f', '\\x7f'].join('|'));

/** What must be nowhere among the bytes that a terminal was sent. */
export const wouldSteer = (bytes: string): string[] => {
  const found: string[] = [];
  const looks: readonly (readonly [what: string, looks: RegExp])[] = [
    ['its colours', new RegExp(`${ESC}\\[31;47;5;104m`)],
    ['the clipboard', new RegExp(`${ESC}\\]52`)],
    ['a link', new RegExp(`${ESC}\\]8;`)],
    // The screen names its window itself; what it is not to do is to pass theirs on.
    ['its title', new RegExp(`${ESC}\\][0-2];hostile`)],
    ['a device control string', new RegExp(`${ESC}[PX^_]`)],
    ['a question to the terminal', new RegExp(`${ESC}\\[(?:6n|c)`)],
    ['a mode that it never asks for', new RegExp(`${ESC}\\[\\?1003h`)],
    ['a reset', new RegExp(`${ESC}(?:c|\\[!p|\\[3J)`)],
    ['a place and a region', new RegExp(`${ESC}\\[(?:7;7H|5;9r)`)],
    ['letters as lines', new RegExp(`${ESC}\\(0`)],
    ['a control of the second set', /[\u0080-\u009f]/],
    ['a direction', /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/],
    ['a control character', CONTROL],
  ];
  for (const [what, look] of looks) {
    const at = bytes.search(look);
    if (at >= 0) found.push(`${what}: ${JSON.stringify(bytes.slice(Math.max(0, at - 20), at + 30))}`);
  }
  return found;
};
