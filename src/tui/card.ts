import { oneLine } from '../client/printable.ts';
import { type Card, secondsLeft } from '../views/cards.ts';
import { diffLines, isDiff } from '../views/diff.ts';
import { diffRows } from './diff-rows.ts';
import { clean, cropped, type Row, textWidth, wrap } from './text.ts';

/** What stands around a card. */
export interface CardScene {
  card: Card;
  /** How far its text was to be scrolled. */
  top: number;
  /** How many more wait behind it. */
  more: number;
  nowMs: number;
}

/** In place of the composer; a question leaves it, for the answer. `top`: how far the text could be scrolled. */
export const cardRows = (
  { card, top, more, nowMs }: CardScene,
  width: number,
  heightMax: number,
): { rows: Row[]; top: number } => {
  const whose = cropped(clean(oneLine(card.writerId, 40)), Math.max(1, Math.floor(width / 3)));
  const asks = card.question ? 'a question for you' : 'allow this?';
  const title = `── ${whose}: ${asks}${more === 0 ? '' : ` (${more} more)`} `;
  const head: Row = [[cropped(title + '─'.repeat(width), width).replace(/…$/, '─'), 'warn']];
  const footOf = (hidden: string): Row => [
    [cropped(keysOf(card, secondsLeft(card, nowMs), hidden, width), width), 'warn'],
  ];
  const body = bodyOf(card, Math.max(1, width - 2));
  const most = Math.max(1, heightMax);
  const isWhole = body.length <= Math.max(1, most - 2);
  if (isWhole && most > 1) return { rows: [head, ...body, footOf('')].slice(-most), top: 0 };
  // Nothing of a command or a change hides: what is not shown is counted, and can be reached. The count has a row of its own where
  // there is one.
  const isRoomy = most >= 4;
  const shown = isRoomy ? most - 3 : Math.min(1, most - 1);
  const from = Math.max(0, Math.min(top, body.length - Math.max(1, shown)));
  const below = body.length - from - shown;
  const said = below > 0 ? `${below} more line${below === 1 ? '' : 's'} below` : `${from} above`;
  const mark: Row = [[cropped(`   ${said} (Up, Down, PgUp, PgDn)`, width), 'dim']];
  const foot = footOf(isRoomy ? '' : below > 0 ? `+${below}↓ ` : `+${from}↑ `);
  const rows = [head, ...body.slice(from, from + shown), ...(isRoomy ? [mark] : []), foot];
  return { rows: rows.slice(-most), top: from };
};

/** The longest form that fits. The time and the count come first, as what must not be cut off; where nothing fits the time gives way. */
const keysOf = ({ question }: Card, leftS: number, hidden: string, width: number): string => {
  const pick = question && question.options.length > 0 ? '1-9 or ' : '';
  const forms = question
    ? [`  ${pick}words and Enter answer   Alt+N declines   Esc later`, ` ${pick}words, Esc later`, ' words, Esc']
    : [
        '  y allow   n deny   always: a in this session, w in this folder   Esc later',
        '  y allow  n deny  always: a session, w folder  Esc later',
        ' y/n/a/w Esc',
        'y/n/a/w',
      ];
  const begin = ` ${leftS} s ${hidden}`;
  const fits = forms.find((form) => textWidth(begin + form) <= width);
  return fits === undefined ? `${hidden}${forms.at(-1)}` : begin + fits;
};

const bodyOf = ({ toolName, summary, preview, question }: Card, width: number): Row[] => {
  if (question) {
    const options = question.options.map((option, i) => `${i < 9 ? i + 1 : ' '}  ${oneLine(option, 300)}`);
    return [
      ...wrap(clean(question.text), width).map((line): Row => [[` ${line}`, 'bold']]),
      ...options.flatMap((option) => wrap(clean(option), width).map((line): Row => [[` ${line}`, 'accent']])),
    ];
  }
  const what = wrap(clean(oneLine(`${toolName}  ${summary}`, 600)), width).map((line): Row => [[` ${line}`, 'bold']]);
  if (preview === '') return what;
  const lines = isDiff(preview)
    ? diffRows(diffLines(preview), width)
    : wrap(clean(preview), width).map((line): Row => [[line, 'plain']]);
  return [...what, ...lines.map((row): Row => [[' ', 'plain'], ...row])];
};
