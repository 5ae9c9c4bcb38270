/**
 * What a page of HTML says, as lines of text: for reading, not for showing. One pass over the characters, so that no page takes
 * longer than its length.
 */

/** Their content is no text of the page, whatever is in it. */
const RAW = new Set(['script', 'style', 'iframe', 'noembed', 'noframes', 'xmp', 'textarea']);
const DROPPED = new Set(['template', 'svg', 'math', 'noscript', 'object', 'canvas', 'video', 'audio']);
/** They begin and end a line. */
const BLOCK = new Set(
  (
    'address article aside blockquote body caption dd details dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 ' +
    'head header hr html legend li main nav ol optgroup option p pre section summary table tbody tfoot thead title tr ul'
  ).split(' '),
);
const HEADING = /^h([1-6])$/;

const NAMED: { [name: string]: string } = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  shy: '',
  copy: '©',
  reg: '®',
  trade: '™',
  deg: '°',
  middot: '·',
  bull: '•',
  hellip: '…',
  ndash: '–',
  mdash: '—',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  laquo: '«',
  raquo: '»',
  times: '×',
  euro: '€',
  pound: '£',
  sect: '§',
  para: '¶',
  larr: '←',
  rarr: '→',
};

const unescaped = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-zA-Z]{2,8})(?=;));?/g, (whole, dec, hex, name) => {
    if (name !== undefined) return Object.hasOwn(NAMED, name) ? (NAMED[name] as string) : whole;
    const code = dec === undefined ? Number.parseInt(hex, 16) : Number(dec);
    return code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? '\ufffd' : String.fromCodePoint(code);
  });

interface Tag {
  name: string;
  isEnd: boolean;
  attributes: string;
  isClosed: boolean;
  /** Where the text goes on. */
  next: number;
}

/** The tag at `at`, which is a `<`; null when it is only that. A tag without an end takes the rest with it, as in browsers. */
const tagAt = (html: string, at: number): Tag | null => {
  const isEnd = html[at + 1] === '/';
  let i = at + (isEnd ? 2 : 1);
  if (!/[a-zA-Z]/.test(html[i] ?? '')) return null;
  const start = i;
  while (i < html.length && !/[\s/>]/.test(html[i] as string)) i++;
  const name = html.slice(start, i).toLowerCase();
  const from = i;
  // A quote counts only where a value begins.
  for (let isValue = false; i < html.length && html[i] !== '>'; i++) {
    const c = html[i] as string;
    if (isValue && (c === '"' || c === "'")) {
      const close = html.indexOf(c, i + 1);
      i = close < 0 ? html.length : close;
    }
    isValue = c === '=' || (isValue && /\s/.test(c));
  }
  const attributes = html.slice(from, i);
  return { name, isEnd, attributes, isClosed: attributes.endsWith('/'), next: i + 1 };
};

const HREF = /(?:^|\s)href\s*=\s*(?:"([^"]{0,2000})"|'([^']{0,2000})'|([^\s"'>]{1,2000}))/i;

/** `base` is where the page is; links become `text (url)`. */
export const htmlText = (html: string, base: string): string => {
  const page = new PageText(base);
  let dropped: string | null = null;
  let depth = 0;
  for (let at = 0; at < html.length; ) {
    const open = html.indexOf('<', at);
    if (dropped === null) page.text(html.slice(at, open < 0 ? html.length : open));
    if (open < 0) break;
    if (html.startsWith('<!', open) || html.startsWith('<?', open)) {
      const end = html.startsWith('<!--', open) ? html.indexOf('-->', open + 4) : html.indexOf('>', open);
      if (end < 0) break;
      at = end + (html[end] === '>' ? 1 : 3);
      continue;
    }
    const tag = tagAt(html, open);
    if (tag === null) {
      if (dropped === null) page.text('<');
      at = open + 1;
      continue;
    }
    at = tag.next;
    if (RAW.has(tag.name) && !tag.isEnd) at = afterRaw(html, tag);
    else if (dropped !== null) {
      if (tag.name === dropped && !tag.isClosed) depth += tag.isEnd ? -1 : 1;
      if (depth === 0) dropped = null;
    } else if (DROPPED.has(tag.name)) {
      if (tag.isEnd || tag.isClosed) continue;
      dropped = tag.name;
      depth = 1;
    } else page.tag(tag);
  }
  return page.done();
};

const afterRaw = (html: string, { name, next }: Tag): number => {
  const close = new RegExp(`</${name}(?=[\\s/>])`, 'gi');
  close.lastIndex = next;
  const found = close.exec(html);
  return found === null ? html.length : found.index;
};

class PageText {
  readonly #base: string;
  #parts: string[] = [];
  /** At most this many line ends are owed before the next word; none at the very beginning. */
  #breaks = 0;
  #space = false;
  #isLineStart = true;
  #pre = 0;
  #link: { url: string; from: number } | null = null;

  constructor(base: string) {
    this.#base = base;
  }

  text(raw: string): void {
    if (raw === '') return;
    const text = unescaped(raw);
    if (this.#pre > 0) {
      this.#put(text.replaceAll('\r', ''));
      this.#isLineStart = text.endsWith('\n');
      return;
    }
    const words = text.split(/\s+/);
    words.forEach((word, i) => {
      if (i > 0) this.#space = true;
      if (word !== '') this.#word(word);
    });
  }

  tag(tag: Tag): void {
    const { name, isEnd, attributes } = tag;
    if (name === 'br') this.#break(1);
    else if (name === 'a') this.#anchor(isEnd, attributes);
    else if ((name === 'td' || name === 'th') && !isEnd) {
      if (!this.#isLineStart) this.#word(' |');
      this.#space = true;
    } else if (BLOCK.has(name)) {
      this.#break(name === 'p' || HEADING.test(name) || name === 'pre' || name === 'table' ? 2 : 1);
      if (name === 'pre') this.#pre = Math.max(0, this.#pre + (isEnd ? -1 : 1));
      if (isEnd) return;
      const heading = HEADING.exec(name);
      if (heading) this.#word(`${'#'.repeat(Number(heading[1]))} `);
      else if (name === 'title') this.#word('# ');
      else if (name === 'li') this.#word('- ');
    }
  }

  done(): string {
    return this.#parts
      .join('')
      .replace(/[ \t]+$/gm, '')
      .trim();
  }

  #anchor(isEnd: boolean, attributes: string): void {
    const link = this.#link;
    this.#link = null;
    if (link !== null) {
      const said = this.#parts.slice(link.from).join('').trim();
      if (said !== '' && said !== link.url) this.#word(` (${link.url})`);
    }
    if (isEnd) return;
    const found = HREF.exec(attributes);
    const href = unescaped(found?.[1] ?? found?.[2] ?? found?.[3] ?? '').trim();
    if (href === '' || href.startsWith('#') || !URL.canParse(href, this.#base)) return;
    const url = new URL(href, this.#base);
    if (url.protocol === 'http:' || url.protocol === 'https:') this.#link = { url: url.href, from: this.#parts.length };
  }

  #break(lines: number): void {
    this.#breaks = Math.max(this.#breaks, lines);
    this.#space = false;
    this.#isLineStart = true;
  }

  #word(word: string): void {
    if (this.#breaks === 0 && this.#space && !this.#isLineStart) this.#put(' ');
    this.#put(word);
    this.#space = false;
    this.#isLineStart = word.endsWith(' ');
  }

  #put(text: string): void {
    if (this.#breaks > 0 && this.#parts.length > 0) this.#parts.push('\n'.repeat(this.#breaks));
    this.#breaks = 0;
    this.#parts.push(text);
  }
}
