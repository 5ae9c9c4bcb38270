/**
 * Compares an answer with an older one by structure: every member of the old one must be there with the same type. Values count
 * only in the members that are named in `fixed`; ids, times and counts differ from run to run.
 *
 * Answers a list of what does not hold, each with its path; an empty one is agreement.
 */
export const missingFrom = (old: unknown, now: unknown, fixed: ReadonlySet<string>, path = ''): string[] => {
  const at = path === '' ? '(top)' : path;
  if (typeOf(old) !== typeOf(now)) return [`${at}: was ${typeOf(old)}, is ${typeOf(now)}`];
  if (Array.isArray(old) && Array.isArray(now)) {
    if (old.length !== now.length) return [`${at}: had ${old.length} items, has ${now.length}`];
    return old.flatMap((item, i) => missingFrom(item, now[i], fixed, `${path}[${i}]`));
  }
  if (typeOf(old) === 'object') {
    const [was, is] = [old, now] as [{ [k: string]: unknown }, { [k: string]: unknown }];
    return Object.keys(was).flatMap((key) => {
      const inner = path === '' ? key : `${path}.${key}`;
      return Object.hasOwn(is, key) ? missingFrom(was[key], is[key], fixed, inner) : [`${inner}: is missing`];
    });
  }
  const name = /([^.[\]]+)(?:\[\d+\])*$/.exec(path)?.[1] ?? '';
  return fixed.has(name) && old !== now ? [`${at}: was ${JSON.stringify(old)}, is ${JSON.stringify(now)}`] : [];
};

const typeOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);
