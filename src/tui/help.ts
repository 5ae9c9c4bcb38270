import { type Bindings, labelOf } from './bindings.ts';
import { textWidth } from './text.ts';

/** What the help shows: every key that does something, and how cards are answered. */
export const helpLines = (bindings: Bindings): string[] => {
  const rows = bindings.all.map(({ key, text }) => [labelOf(key), text] as const);
  const column = Math.max(...rows.map(([key]) => textWidth(key))) + 2;
  return [
    ...rows.map(([key, text]) => `${key.padEnd(column)}${text}`),
    `${'Up, Down'.padEnd(column)}the line above or below, then what you said before`,
    `${'Ctrl+A, E, U, W, Y'.padEnd(column)} begin and end of a line, cut a line or a word, bring it back`,
    '',
    'When a call asks: y allows, n denies, a allows this tool for the rest of the session, Esc puts it off.',
    'When it is a question: a number takes an option, words and Enter answer, Alt+N declines.',
    'Others may decide first; then the card goes, and it is said by whom.',
    '',
    '/help lists commands. !command runs a line in your shell. @path attaches a file.',
  ];
};
