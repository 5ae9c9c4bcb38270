/** What a plain request asks for, as the demo engine understands it: the call to make first, and what to tell of it. */
export interface Intent {
  tell:
    | 'help'
    | 'stream'
    | 'list'
    | 'tree'
    | 'layout'
    | 'read'
    | 'lines'
    | 'search'
    | 'count'
    | 'find'
    | 'change'
    | 'ask';
  call: [name: string, args: { [name: string]: unknown }];
  /** Where the answer is to be written down. */
  saveTo?: string;
}

/** A quoted text or one bare word. */
const ARG = '("[^"]+"|\'[^\']+\'|`[^`]+`|[^\\s,;"\'`]+)';
const FILLER =
  /^(it|this|that|the|an?|my|here|me|folder|files?|directory|dir|workspace|project|repo|repository|code|everything|layout|structure)$/i;

const unquote = (s = ''): string =>
  /^(["'`]).*\1$/s.test(s) ? s.slice(1, -1) : /^\.+$/.test(s) ? s : s.replace(/[.,;:!?)]+$/, '');
/** The word, unless it names nothing. */
const named = (s: string | undefined): string | null => (FILLER.test(unquote(s)) ? null : unquote(s)) || null;
const literal = (s: string): string => (/^\/.+\/$/.test(s) ? s.slice(1, -1) : s.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
const glob = (w: string): string => {
  if (w.includes('/')) return w;
  if (/^\*?\.\w+$/.test(w)) return `**/*.${w.replace(/^\*?\./, '')}`;
  return /[*?{[.]/.test(w) ? `**/${w}` : `**/*${w}*`;
};

/** The folder or file that a request names after in, of, under …; `.` when it names none. */
const place = (text: string): string => {
  const after = new RegExp(
    `\\b(?:in|of|under|inside|from|within)\\s+(?:the\\s+|folder\\s+|directory\\s+)*${ARG}`,
    'gi',
  );
  return [...text.matchAll(after)].flatMap((m) => named(m[1]) ?? []).at(-1) ?? '.';
};

const list = (tell: Intent['tell'], path: string): Intent => {
  return { tell, call: ['list_dir', tell === 'list' ? { path } : { path, recursive: true }] };
};
const read = (tell: Intent['tell'], path: string | null): Intent | null =>
  (path && { tell, call: ['read_file', { path }] }) || null;
const write = (path: string, text: string): Intent => {
  return { tell: 'change', call: ['write_file', { path, content: `${text.trim()}\n` }] };
};
const look = (tell: Intent['tell'], word: string | undefined, rest: string): Intent | null => {
  const pattern = named(word);
  return pattern === null ? null : { tell, call: ['search_files', { pattern: literal(pattern), path: place(rest) }] };
};
const find = (pattern: string | null, rest: string): Intent | null =>
  pattern === null ? null : { tell: 'find', call: ['find_files', { pattern: glob(pattern), path: place(rest) }] };

/** What follows a colon at the end, or a dash, are answers to choose from: `red, green or blue`. */
const ask = (words: string): Intent | null => {
  const [, question = words, list = ''] = /^(.*?)\s*(?::|\s[-–]\s)\s*([^:]+)$/s.exec(words) ?? [];
  const options = list
    .split(/\s*(?:,|;|\bor\b)\s*/)
    .map((option) => unquote(option.trim()).replace(/[?.!]+$/, ''))
    .filter((option) => option !== '');
  const text = question.trim();
  if (text === '') return null;
  return {
    tell: 'ask',
    call: ['ask_user', options.length < 2 ? { question: words.trim() } : { question: text, options }],
  };
};

/** Tried in order; the first that makes sense of the request wins. `rest` is what follows the match. */
const RULES: [pattern: string, intent: (m: string[], rest: string, text: string) => Intent | null][] = [
  ['^\\s*(?:please\\s+)?ask\\s+(?:me|us)\\b[\\s:,]*(.+)$', ([, words = '']) => ask(words)],
  [
    '\\bstream\\s+(?:an?\\s+)?(\\d[\\d,_]*)(?:.*?\\bat\\s+(\\d+))?',
    ([, n = '', rate = '0']) => {
      const words = Math.min(1_000_000, Number(n.replace(/[,_]/g, '')));
      return { tell: 'stream', call: ['', { words, perSecond: Math.min(10_000, Number(rate)) }] };
    },
  ],
  [
    `\\b(?:replace|change)\\s+${ARG}\\s+(?:with|to|by|into)\\s+${ARG}\\s+in\\s+(?:the\\s+)?(?:file\\s+)?${ARG}`,
    ([, from, to, path]) => {
      const args = { path: unquote(path), old_text: unquote(from), new_text: unquote(to) };
      return { tell: 'change', call: ['edit_file', args] };
    },
  ],
  [
    `\\b(?:write|save|put)\\s+("[^"]+"|'[^']+'|\`[^\`]+\`)\\s+(?:in)?to\\s+(?:the\\s+)?(?:file\\s+)?${ARG}`,
    ([, text, path]) => write(unquote(path), unquote(text)),
  ],
  [
    `\\b(?:write|create|make|add|save)\\s+(?:an?|the)?\\s*(?:new\\s+|short\\s+|text\\s+)*(?:note|file)\\s*(?:(?:called|named|to|in|at)\\s+)?(?:${ARG}\\s+)??(?:(?:that|which)\\s+says|saying|containing|with(?:\\s+the)?(?:\\s+(?:content|text|words?))?):?\\s+(.+)$`,
    ([, path, text = '']) => write(named(path) ?? 'note.md', /^["'`]/.test(text) ? unquote(text.trim()) : text),
  ],
  ['^\\s*(?:(?:write|make|take)\\s+a\\s+)?note:\\s*(.+)$', ([, text = '']) => write('note.md', text)],
  [
    `\\b(?:how many|count)\\b.*?\\blines\\b.*?\\b(?:in|of|has|have|does)\\s+(?:the\\s+)?(?:file\\s+)?${ARG}`,
    ([, path]) => read('lines', named(path)),
  ],
  [
    '\\b(?:how many|count)\\s+(?:the\\s+|all\\s+)*(?:files|folders|entries)\\b',
    (_, __, text) => list('tree', place(text)),
  ],
  [
    `\\b(?:how many|count)\\s+(?:the\\s+|all\\s+)*${ARG}\\s+files\\b`,
    ([, kind = ''], rest) => find(/^\w+$/.test(kind) ? `.${kind}` : kind.replace(/["'`]/g, ''), rest),
  ],
  [
    `\\b(?:how many times|how many|count)\\s+(?:(?:does|do|is|are|the|all|times|occurrences|matches|of|for)\\s+)*${ARG}`,
    ([, word], rest) => look('count', word, rest),
  ],
  [
    `\\b(?:search|grep|look|where\\s+(?:is|are|do|does)|find\\s+(?:all\\s+|the\\s+)*(?:uses?|occurrences?|mentions?|references?|text|lines?))\\s+(?:(?:for|of|to|with|the|we|word|text|i)\\s+)*${ARG}`,
    ([, word], rest) => look('search', word, rest),
  ],
  [
    `\\bfind\\s+(?:(?:all|every|the|any|me|files?|named|called|matching|with|name|ending|in)\\s+)*${ARG}`,
    ([, word = ''], rest) => find(/^["'`]?[*.]/.test(word) ? word.replace(/["'`]/g, '') : named(word), rest),
  ],
  [
    '\\b(?:layout|structure|overview|organi[sz]ed|tree)\\b|\\b(?:summari[sz]e|describe|explain|what is)\\s+(?:this|the|my)\\s+(?:project|folder|repo|repository|workspace|directory|code)\\b',
    (_, __, text) => list('layout', place(text)),
  ],
  [
    "\\b(?:list|ls|dir)\\b|\\b(?:what|which|show(?:\\s+me)?(?:\\s+the)?)\\s+files\\b|\\bwhat(?:'s|\\s+is)\\s+in\\s+(?:this|the|here)\\b",
    (_, __, text) => {
      const bare = named(/^\s*(?:list|ls|dir)\s+(\S+)\s*$/i.exec(text)?.[1]);
      return list(/\b(?:recursive(?:ly)?|everything|all)\b/i.test(text) ? 'tree' : 'list', bare ?? place(text));
    },
  ],
  [
    `\\b(?:read|show|open|cat|print|display|view|summari[sz]e|explain|what(?:'s|\\s+is|\\s+does)(?:\\s+in)?)\\s+(?:(?:me|the|file|contents?|of|in|inside)\\s+)*${ARG}`,
    ([, path]) => read('read', /[./]|^[A-Z]{3,}$/.test(unquote(path)) ? named(path) : null),
  ],
];

const SAVE = new RegExp(
  `[,;]?\\s*(?:and\\s+|then\\s+)+(?:write|save|put|store)\\s+(?:it|that|this|them|(?:the|a)\\s+(?:short\\s+)?(?:result|summary|answer|list|note|report))\\s*(?:down\\s+)?(?:in\\s*to|to|as|in)\\s+(?:the\\s+)?(?:file\\s+)?${ARG}.*$`,
  'is',
);

export const understand = (request: string): Intent => {
  // [SV3] Longer requests are not plain ones, and would keep the patterns busy for long.
  if (request.length > 1_000) return { tell: 'help', call: ['', {}] };
  const save = SAVE.exec(request);
  const text = save ? request.slice(0, save.index) : request;
  for (const [pattern, intent] of RULES) {
    const m = new RegExp(pattern, 'is').exec(text);
    const found = m && intent(m, text.slice(m.index + m[0].length), text);
    if (found) return save ? { ...found, saveTo: unquote(save[1]) } : found;
  }
  return { tell: 'help', call: ['', {}] };
};
