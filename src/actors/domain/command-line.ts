const WORD = /(?:[^\s"'\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/gs;
const QUOTED = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs;

/**
 * A command as words: white space parts them, quotes and backslashes hold them together as in a shell, and nothing else of a shell
 * is here. An empty pair of quotes is an empty word. null when a quote is not closed or no program is named.
 */
export const wordsOf = (command: string): string[] | null => {
  if (/\S/.test(command.replace(WORD, ''))) return null;
  const bare = (_: string, single?: string, double?: string, escaped?: string): string =>
    single ?? double?.replace(/\\(["\\])/g, '$1') ?? escaped ?? '';
  const words = (command.match(WORD) ?? []).map((word) => word.replace(QUOTED, bare));
  return words[0] ? words : null;
};
