/** A piece of code. The pieces of a line put together are the line, whatever it is. */
export interface CodeSpan {
  kind: 'plain' | 'comment' | 'string' | 'number' | 'keyword';
  text: string;
}

/** What goes on from the line before, and what ends it. */
export type CodeState = { readonly kind: 'comment' | 'string'; readonly until: string } | null;

interface Family {
  token: RegExp;
  /** What goes on over lines, by what opens it. */
  long: ReadonlyMap<string, { kind: 'comment' | 'string'; until: string }>;
  words: ReadonlySet<string>;
  anyCase: boolean;
}

/** Longer lines are plain: they are made by programs, for programs. */
const LINE_CHARS_MAX = 2_000;

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** `comment`: what begins one that ends with its line. `blocks` and `texts`: pairs of what opens and ends longer ones. */
const family = (comment: string, blocks: string, texts: string, words: string, anyCase = false): Family => {
  const pairs = (all: string, kind: 'comment' | 'string') =>
    [...all.matchAll(/(\S+) (\S+)/g)].map(([, open = '', until = '']) => [open, { kind, until }] as const);
  const long = new Map([...pairs(blocks, 'comment'), ...pairs(texts, 'string')]);
  const parts = [
    ...(comment === '' ? [] : [`(?<comment>(?:${comment}).*)`]),
    ...(long.size === 0 ? [] : [`(?<long>${[...long.keys()].map(escaped).join('|')})`]),
    `(?<quote>["'])`,
    '(?<number>(?<![\\p{L}\\p{N}_])\\d[\\w.]*)',
    '(?<word>[\\p{L}_$][\\p{L}\\p{N}_$]*)',
  ];
  return { token: new RegExp(parts.join('|'), 'gu'), long, words: new Set(words.split(' ')), anyCase };
};

/** From behind a quote to behind its end. No sign can be read two ways: a line of backslashes would take for ever then. */
const REST_OF = { '"': /(?:\\.|[^"\\])*"/y, "'": /(?:\\.|[^'\\])*'/y } as const;

const HASH = '(?<=^|\\s)#';
const C = family(
  '//',
  '/* */',
  '` `',
  'abstract any as async await bool boolean break case catch char class const constructor continue def default defer delete do double dyn else enum export extends extern false final finally float fn for foreach from fun func function get go goto guard if impl implements import in init inline instanceof int interface internal is keyof let long loop match mod module mut namespace native new nil null number object of open operator override package private protected pub public range readonly ref return satisfies sealed self set short signed sizeof static string struct super switch template this throw throws trait true try type typedef typeof undefined union unknown unsafe unsigned use using val var virtual void volatile when where while with yield',
);
const PYTHON = family(
  HASH,
  '',
  '""" """ \'\'\' \'\'\'',
  'False None True alias and as assert async await begin break case class continue def defp del do elif else elsif end ensure except false finally for from global if import in is lambda match module nil nonlocal not or pass raise require rescue return self super then true try unless until when while with yield',
);
const SHELL = family(
  HASH,
  '',
  '',
  'alias case cd do done echo elif else esac eval exec exit export fi for function if in local readonly return set shift source test then trap unset until while ADD CMD COPY ENTRYPOINT ENV EXPOSE FROM RUN USER WORKDIR',
);
const SQL = family(
  '--',
  '/* */',
  '',
  'add all alter and as asc begin between by case check commit constraint create cross default delete desc distinct drop else end exists foreign from full group having if in index inner insert into is join key left like limit not null offset on or order outer primary references returning right rollback select set table then transaction union unique update using values view when where with',
  true,
);

const FAMILIES: readonly (readonly [names: string, family: Family])[] = [
  ['js jsx mjs cjs javascript ts tsx mts typescript c h cc cpp c++ cxx hpp cs csharp java kotlin kt go golang', C],
  ['rust rs swift scala dart php zig proto groovy objc objective-c', C],
  ['py python rb ruby r elixir ex exs nim julia jl', PYTHON],
  ['sh bash zsh fish shell console dockerfile docker make makefile ps1 powershell', SHELL],
  ['sql postgres postgresql mysql sqlite', SQL],
  ['html xml svg vue', family('', '<!-- -->', '', '')],
  ['css scss less', family('', '/* */', '', 'and from important import media not to')],
  ['json jsonc json5', family('//', '/* */', '', 'false null true')],
  ['yaml yml toml ini conf properties env', family(HASH, '', '""" """', 'false no null off on true yes')],
  [
    'lua haskell hs elm',
    family(
      '--',
      '{- -}',
      '[[ ]]',
      'case class data do else end for function if import in let local module nil of return then type where while',
    ),
  ],
];
const BY_NAME = new Map(FAMILIES.flatMap(([names, of]) => names.split(' ').map((name) => [name, of] as const)));

/** One line, after what the line before has left open. Light work: no grammar, one pass. */
export const highlightLine = (
  line: string,
  lang: string,
  state: CodeState,
): { spans: CodeSpan[]; state: CodeState } => {
  const family = BY_NAME.get(lang);
  if (!family || line.length > LINE_CHARS_MAX)
    return { spans: line === '' ? [] : [{ kind: 'plain', text: line }], state: null };
  const spans: CodeSpan[] = [];
  let at = 0;
  const put = (kind: CodeSpan['kind'], to: number): void => {
    const last = spans.at(-1);
    if (to > at && last?.kind === kind) last.text += line.slice(at, to);
    else if (to > at) spans.push({ kind, text: line.slice(at, to) });
    at = Math.max(at, to);
  };
  /** Up to the end of what is open, or to the end of the line. */
  const close = (open: NonNullable<CodeState>, from: number): CodeState => {
    let end = line.indexOf(open.until, from);
    while (open.kind === 'string' && end > 0 && line[end - 1] === '\\') end = line.indexOf(open.until, end + 1);
    put(open.kind, end < 0 ? line.length : end + open.until.length);
    return end < 0 ? open : null;
  };
  /** Where the string ends that begins before `from`. What has no end at one place has none at the later ones, and is not sought again. */
  const endless = new Set<string>();
  const endOf = (quote: '"' | "'", from: number): number | null => {
    const rest = REST_OF[quote];
    rest.lastIndex = from;
    if (!endless.has(quote) && rest.test(line)) return rest.lastIndex;
    endless.add(quote);
    return null;
  };
  let open = state && close(state, 0);
  while (at < line.length) {
    family.token.lastIndex = at;
    const found = family.token.exec(line);
    if (!found) break;
    put('plain', found.index);
    const { comment, long, quote, number, word = '' } = found.groups ?? {};
    const end = found.index + found[0].length;
    const begun = long === undefined ? undefined : family.long.get(long);
    if (begun) open = close(begun, end);
    else if (comment !== undefined) put('comment', end);
    else if (quote !== undefined) {
      const closed = endOf(quote as '"' | "'", end);
      put(closed === null ? 'plain' : 'string', closed ?? end);
    } else if (number !== undefined) put('number', end);
    else put(family.words.has(family.anyCase ? word.toLowerCase() : word) ? 'keyword' : 'plain', end);
  }
  put('plain', line.length);
  return { spans, state: open };
};

/** All lines of a text. */
export const highlight = (text: string, lang: string): CodeSpan[][] => {
  let state: CodeState = null;
  return text.split('\n').map((line) => {
    const done = highlightLine(line, lang, state);
    state = done.state;
    return done.spans;
  });
};
