/** How many letters have to be put in, taken out, changed or swapped with their neighbour to make `b` of `a`. */
export const distance = (a: string, b: string): number => {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] as number) + 1);
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length] as number;
};

/** The names that are nearest to what was typed, if they are within `max`, and nearer than nothing at all. */
export const nearest = (typed: string, names: readonly string[], max = 3): string[] => {
  const near = names
    .map((name) => ({ name, d: distance(typed, name) }))
    .filter(({ d }) => d <= max && d < typed.length);
  const least = Math.min(...near.map(({ d }) => d));
  return near.filter(({ d }) => d === least).map(({ name }) => name);
};
