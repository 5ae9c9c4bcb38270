/**
 * How well a name goes with what was typed: all of its letters, in order. Higher is better; null when they are not all there.
 * Letters in a row, at the beginning of words and early in the last part of a path say more than others.
 */
export const fuzzyScore = (typed: string, name: string): number | null => {
  if (typed === '') return 0;
  if (name.length > NAME_CHARS_MAX) return null;
  const [wanted, text] = [typed.toLowerCase(), name.toLowerCase()];
  const whole = text.indexOf(wanted, Math.max(0, text.lastIndexOf('/', text.length - 2)));
  const found = whole < 0 ? text.indexOf(wanted) : whole;
  if (found >= 0) return 1_000 + (beginsWord(name, found) ? 500 : 0) + (found === 0 ? 500 : 0) - name.length;
  let score = 0;
  let before = -2;
  for (const letter of wanted) {
    const at = text.indexOf(letter, before < 0 ? 0 : before + 1);
    if (at < 0) return null;
    score += at === before + 1 ? 8 : beginsWord(name, at) ? 6 : -Math.min(4, at - Math.max(0, before));
    before = at;
  }
  return score - name.length / 8;
};

const NAME_CHARS_MAX = 4_096;

const beginsWord = (name: string, at: number): boolean =>
  at === 0 || /[^\p{L}\p{N}]/u.test(name[at - 1] as string) || /[\p{Ll}][\p{Lu}]/u.test(name.slice(at - 1, at + 1));

/** The best of them, best first; those that go equally well stay in their order. */
export const fuzzyRanked = <T>(
  typed: string,
  all: readonly T[],
  namesOf: (one: T) => readonly string[],
  max: number,
): T[] =>
  all
    .flatMap((one) => {
      const scores = namesOf(one).flatMap((name) => fuzzyScore(typed, name) ?? []);
      return scores.length === 0 ? [] : [{ one, score: Math.max(...scores) }];
    })
    .sort((a, b) => b.score - a.score)
    .slice(0, max)
    .map(({ one }) => one);
