import { Lexer, type Token, Tokenizer, type Tokens } from 'marked';

/**
 * The lexer of marked, for text that may be written to hold it up. Its work on lists, tables and emphasis can grow with the square of
 * a text; each has a budget here, and what goes over it is shown as it is written. The budgets are spent by counting, not by a
 * clock, so that every face shows the same.
 */

/** Signs of emphasis times characters around them. */
const EMPHASIS_WORK_MAX = 8_000_000;
/** Lines of lists and quotes, each as often as it is nested. */
const NESTED_LINES_MAX = 6_000;
const TABLE_CELLS_MAX = 5_000;
/** More than anybody means: a lexer that follows them would run out of stack. */
const SIGNS_A_LINE_MAX = 24;
const BRACKETS = /[*_[\]]{200}/;
const EMPHASIS = /[*_~]/g;

/** Never more work than its budgets allow. Throws what marked throws. Empty: it is no markdown that anybody means. */
export const lexed = (text: string): Token[] => {
  if (BRACKETS.test(text)) return [];
  const chars = nestedCharsIn(text);
  if (chars === null) return [];
  const tokens: Token[] = new BoundedLexer().lex(text.slice(0, chars));
  const rest = text.slice(chars);
  return rest === '' ? tokens : [...tokens, { type: 'text', raw: rest, text: rest }];
};

class BoundedLexer extends Lexer {
  #left = EMPHASIS_WORK_MAX;

  constructor() {
    super({ gfm: true, tokenizer: new BoundedTables() });
  }

  override inlineTokens(text: string, tokens: Token[] = []): Token[] {
    // A sign looks for its other half in all that follows.
    this.#left -= text.length * (text.match(EMPHASIS)?.length ?? 0);
    if (this.#left >= 0) return super.inlineTokens(text, tokens);
    tokens.push({ type: 'text', raw: text, text });
    return tokens;
  }
}

/** A row of two signs gets as many cells as the head has: few characters would make millions. */
class BoundedTables extends Tokenizer {
  override table(text: string): Tokens.Table | undefined {
    const head = text.slice(0, Math.max(0, text.indexOf('\n')));
    if (!head.includes('|')) return super.table(text);
    const cells = head.split('|').length * linesOfBlock(text);
    return cells > TABLE_CELLS_MAX ? undefined : super.table(text);
  }
}

const linesOfBlock = (text: string): number => {
  const end = text.search(/\n[ \t]*\n/);
  return (end < 0 ? text : text.slice(0, end)).split('\n').length;
};

const SIGNS = /^(?:[ \t]*(?:[>*+-]|\d{1,9}[.)]))+/;
const SIGN = /[>*+-]|\d+[.)]/g;

/** How much of a text is read before its lists and quotes are over budget, up to a line's end. Null: a line has too many signs. */
const nestedCharsIn = (text: string): number | null => {
  let [at, work, depth] = [0, 0, 0];
  let blank = false;
  while (at < text.length) {
    const next = text.indexOf('\n', at);
    const end = next < 0 ? text.length : next + 1;
    const line = text.slice(at, end);
    const signs = SIGNS.exec(line)?.[0].match(SIGN)?.length ?? 0;
    const isBlank = line.trim() === '';
    if (signs > SIGNS_A_LINE_MAX && !isRule(line)) return null;
    const indent = line.length - line.trimStart().length;
    if (signs > 0) depth = Math.max(depth, signs + (indent >> 1));
    // A line of its own after an empty one ends all lists.
    else if (blank && !isBlank && indent === 0) depth = 0;
    work += depth;
    if (work > NESTED_LINES_MAX) return at;
    blank = isBlank;
    at = end;
  }
  return text.length;
};

const isRule = (line: string): boolean => /^[ \t]*(?:(?:\*[ \t]*)+|(?:-[ \t]*)+)$/.test(line.trimEnd());
