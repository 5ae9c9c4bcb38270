/**
 * What a person means who types a part of a name: all its words in any order, the names that begin with it first. Order is kept
 * among equals; an empty text finds everything.
 */
export const matching = <T>(all: readonly T[], text: string, nameOf: (one: T) => string): T[] => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (name: string): number => {
    if (!words.every((word) => name.includes(word))) return -1;
    return name.startsWith(words[0] ?? '') ? 0 : 1;
  };
  return all
    .map((one) => ({ one, rank: rank(nameOf(one).toLowerCase()) }))
    .filter((found) => found.rank >= 0)
    .sort((a, b) => a.rank - b.rank)
    .map(({ one }) => one);
};
