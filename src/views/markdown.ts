import type { Token, Tokens } from 'marked';
import { lexed } from './markdown-lexer.ts';

/**
 * Markdown of a model as a tree of plain values, for the terminal and the page alike. Text is text: HTML in it is shown as what
 * it is written as and never parsed, an image is its words, and a link keeps its address only if that is of the web or of mail.
 * So nothing that a model writes can become an element, a script or a request.
 */
export type Inline =
  | { kind: 'text' | 'code'; text: string }
  | { kind: 'strong' | 'em' | 'del'; of: readonly Inline[] }
  | { kind: 'link'; href: string | null; of: readonly Inline[] }
  | { kind: 'break' };

export type Align = 'left' | 'center' | 'right' | null;

export interface ListItem {
  /** Of a task list; null elsewhere. */
  checked: boolean | null;
  of: readonly Block[];
}

export type Block =
  | { kind: 'paragraph'; of: readonly Inline[] }
  | { kind: 'heading'; level: number; of: readonly Inline[] }
  | { kind: 'code'; lang: string; text: string }
  | { kind: 'quote'; of: readonly Block[] }
  | { kind: 'list'; ordered: boolean; start: number; items: readonly ListItem[] }
  | {
      kind: 'table';
      align: readonly Align[];
      head: readonly (readonly Inline[])[];
      rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { kind: 'rule' };

/** Deeper nesting is shown as the text that it is written as: a parser that follows it would run out of stack. */
const NESTING_MAX = 24;
/** Longer text is one paragraph: nobody reads so much markup, and a parser would hold up whoever waits for a key. */
const MARKDOWN_CHARS_MAX = 1 << 18;
/** A last block of this size is read again only when it has grown by a part of itself: each reading costs as much as it is long. */
const REREAD = { charsMin: 8_192, part: 16 };

/** Never throws: what cannot be read as markdown is one paragraph of text. */
export const markdown = (text: string): readonly Block[] =>
  text.length > MARKDOWN_CHARS_MAX ? plain(text) : parsed(text).blocks;

/**
 * Markdown of a text that grows. What stands before its last block does not change any more and is not read again; a block that
 * stays is the same object as before, so its look may be kept too.
 */
export class GrowingMarkdown {
  #text = '';
  #kept: readonly Block[] = [];
  #from = 0;
  #blocks: readonly Block[] = [];
  /** How much of the text was read as markdown, and what it gave. */
  #readChars = 0;
  #read: readonly Block[] = [];

  /** `text` is the whole text so far. One that does not begin as the last one did is read anew. */
  read(text: string): readonly Block[] {
    if (text === this.#text) return this.#blocks;
    if (!text.startsWith(this.#text)) {
      this.#kept = [];
      this.#from = 0;
      this.#readChars = 0;
    }
    this.#text = text;
    if (this.#isLittle(text.length)) {
      this.#blocks = followed(this.#read, text.slice(this.#readChars));
      return this.#blocks;
    }
    this.#readChars = text.length;
    if (text.length - this.#from > MARKDOWN_CHARS_MAX) {
      this.#blocks = [...this.#kept, ...plain(text.slice(this.#from))];
      return this.#blocks;
    }
    const { blocks, settled, settledChars } = parsed(text.slice(this.#from));
    this.#blocks = [...this.#kept, ...blocks];
    this.#kept = [...this.#kept, ...blocks.slice(0, settled)];
    this.#from += settledChars;
    this.#read = this.#blocks;
    return this.#blocks;
  }

  /** Code is read at no cost, and its end must not be missed. */
  #isLittle(chars: number): boolean {
    const size = this.#readChars - this.#from;
    if (size < REREAD.charsMin || size > MARKDOWN_CHARS_MAX) return false;
    return chars - this.#readChars < size / REREAD.part && this.#read.at(-1)?.kind !== 'code';
  }
}

/** What has not been read yet, as the text that it is. */
const followed = (blocks: readonly Block[], text: string): readonly Block[] => {
  const last = blocks.at(-1);
  if (last?.kind !== 'paragraph') return [...blocks, ...plain(text)];
  return [...blocks.slice(0, -1), { kind: 'paragraph', of: [...last.of, { kind: 'text', text }] }];
};

interface Parsed {
  blocks: Block[];
  /** How many blocks, and how much text, further text cannot change. */
  settled: number;
  settledChars: number;
}

const parsed = (text: string): Parsed => {
  let tokens: Token[];
  try {
    tokens = lexed(text);
  } catch {
    tokens = [];
  }
  if (tokens.length === 0) return { blocks: plain(text), settled: 0, settledChars: 0 };
  const last = tokens.findLastIndex((token) => token.type !== 'space');
  let settled = 0;
  let settledChars = 0;
  const blocks: Block[] = [];
  for (const [i, token] of tokens.entries()) {
    blocks.push(...blockOf(token, 0));
    if (i >= last) continue;
    settled = blocks.length;
    settledChars += token.raw.length;
  }
  // The lexer writes line ends and tabs its own way; where its words and ours are of different length, nothing is settled.
  const same = text.startsWith(
    tokens
      .slice(0, Math.max(0, last))
      .map((token) => token.raw)
      .join(''),
  );
  return same ? { blocks, settled, settledChars } : { blocks, settled: 0, settledChars: 0 };
};

const plain = (text: string): Block[] => (text === '' ? [] : [{ kind: 'paragraph', of: [{ kind: 'text', text }] }]);

const blockOf = (token: Token, depth: number): Block[] => {
  if (depth > NESTING_MAX) return plain(token.raw);
  switch (token.type) {
    case 'space':
    case 'def':
      return [];
    case 'heading':
      return [{ kind: 'heading', level: (token as Tokens.Heading).depth, of: inlines(token, depth) }];
    case 'code':
      return [{ kind: 'code', lang: langOf((token as Tokens.Code).lang), text: (token as Tokens.Code).text }];
    case 'blockquote':
      return [{ kind: 'quote', of: blocksOf((token as Tokens.Blockquote).tokens, depth + 1) }];
    case 'list':
      return [listOf(token as Tokens.List, depth)];
    case 'table':
      return [tableOf(token as Tokens.Table, depth)];
    case 'hr':
      return [{ kind: 'rule' }];
    case 'html':
      return plain(token.raw.trimEnd());
    default: {
      const of = inlines(token, depth);
      return of.length === 0 ? [] : [{ kind: 'paragraph', of }];
    }
  }
};

const blocksOf = (tokens: readonly Token[], depth: number): Block[] => tokens.flatMap((token) => blockOf(token, depth));

/** The first word of what follows the fence. */
const langOf = (lang = ''): string => /^[\w+#.-]{1,24}/.exec(lang.trim())?.[0]?.toLowerCase() ?? '';

const listOf = (list: Tokens.List, depth: number): Block => ({
  kind: 'list',
  ordered: list.ordered,
  start: typeof list.start === 'number' ? list.start : 1,
  items: list.items.map((item) => ({
    checked: item.task ? item.checked === true : null,
    of: blocksOf(
      item.tokens.filter((token) => token.type !== 'checkbox'),
      depth + 1,
    ),
  })),
});

const tableOf = (table: Tokens.Table, depth: number): Block => ({
  kind: 'table',
  align: table.align.map((side) => side ?? null),
  head: table.header.map((cell) => inlinesOf(cell.tokens, depth + 1)),
  rows: table.rows.map((row) => row.map((cell) => inlinesOf(cell.tokens, depth + 1))),
});

const inlines = (token: Token, depth: number): Inline[] => {
  const { tokens, text } = token as { tokens?: Token[]; text?: string };
  if (tokens) return inlinesOf(tokens, depth + 1);
  return text === undefined || text === '' ? [] : [{ kind: 'text', text: unescaped(text) }];
};

const inlinesOf = (tokens: readonly Token[], depth: number): Inline[] =>
  depth > NESTING_MAX
    ? [{ kind: 'text', text: tokens.map((token) => token.raw).join('') }]
    : tokens.flatMap((token) => inlineOf(token, depth));

const inlineOf = (token: Token, depth: number): Inline[] => {
  switch (token.type) {
    case 'strong':
    case 'em':
    case 'del':
      return [{ kind: token.type, of: inlines(token, depth) }];
    case 'codespan':
      return [{ kind: 'code', text: (token as Tokens.Codespan).text }];
    case 'br':
      return [{ kind: 'break' }];
    case 'link':
      return [{ kind: 'link', href: safeHref((token as Tokens.Link).href), of: inlines(token, depth) }];
    case 'image':
      return [{ kind: 'text', text: `[image: ${(token as Tokens.Image).text || (token as Tokens.Image).href}]` }];
    case 'checkbox':
      return [];
    case 'html':
      return [{ kind: 'text', text: token.raw }];
    default:
      return inlines(token, depth);
  }
};

/** Only an address that opens a page or a letter. Control characters and spaces, which browsers skip, are none of it. */
export const safeHref = (href: string): string | null =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /^(?:https?:\/\/|mailto:)/i.test(href) && !/[\u0000-\u0020\u007f]/.test(href) ? href : null;

const ENTITIES: { readonly [name: string]: string } = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&nbsp;': '\u00a0',
};

const unescaped = (text: string): string =>
  text.replace(/&(?:amp|lt|gt|quot|#39|nbsp);/g, (name) => ENTITIES[name] ?? name);
