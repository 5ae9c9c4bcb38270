import { oneLine } from '../client/printable.ts';
import { type Card, secondsLeft } from '../views/cards.ts';
import { diffLines, isDiff } from '../views/diff.ts';
import { diffRows } from './diff-rows.ts';
import { clean, cropped, type Row, wrap } from './text.ts';

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
  const foot: Row = [[cropped(keysOf(card, secondsLeft(card, nowMs), width), width), 'warn']];
  const body = bodyOf(card, Math.max(1, width - 2));
  const room = Math.max(1, heightMax - 2);
  if (body.length <= room) return { rows: [head, ...body, foot].slice(-Math.max(1, heightMax)), top: 0 };
  // Nothing of a command or a change hides: what is not shown is counted, and can be reached.
  const shown = Math.max(1, room - 1);
  const from = Math.max(0, Math.min(top, body.length - shown));
  const below = body.length - from - shown;
  const said = below > 0 ? `${below} more line${below === 1 ? '' : 's'} below` : `${from} above`;
  const mark: Row = [[cropped(`   ${said} (Up, Down, PgUp, PgDn)`, width), 'dim']];
  const rows = [head, ...body.slice(from, from + shown), ...(room > 1 ? [mark] : []), foot];
  return { rows: rows.slice(-Math.max(1, heightMax)), top: from };
};

/** The time comes first: it is what must not be cut off. */
const keysOf = ({ question }: Card, leftS: number, width: number): string => {
  if (question) {
    const pick = question.options.length > 0 ? '1-9 or ' : '';
    return width < 66
      ? ` ${leftS} s  ${pick}words, Esc later`
      : ` ${leftS} s   ${pick}words and Enter answer   Alt+N declines   Esc later`;
  }
  return width < 66
    ? ` ${leftS} s  y n a Esc`
    : ` ${leftS} s   y allow   n deny   a always in this session   Esc later`;
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
