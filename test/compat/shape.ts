/**
 * Compares an answer with an older one by structure: every member of the old one must be there with the same type. Values count
 * only where they are part of the contract (`isFixed`); ids, times and counts differ from run to run.
 *
 * Answers a list of what does not hold, each with its path.
 */
export const missingFrom = (old: unknown, now: unknown, path = ''): string[] => {
  const at = path === '' ? '(top)' : path;
  if (typeOf(old) !== typeOf(now)) return [`${at}: was ${typeOf(old)}, is ${typeOf(now)}`];
  if (Array.isArray(old) && Array.isArray(now)) {
    if (old.length !== now.length) return [`${at}: had ${old.length} items, has ${now.length}`];
    return old.flatMap((item, i) => missingFrom(item, now[i], `${path}[${i}]`));
  }
  if (typeOf(old) === 'object') {
    const [was, is] = [old, now] as [{ [k: string]: unknown }, { [k: string]: unknown }];
    return Object.keys(was).flatMap((key) => {
      const inner = path === '' ? key : `${path}.${key}`;
      return Object.hasOwn(is, key) ? missingFrom(was[key], is[key], inner) : [`${inner}: is missing`];
    });
  }
  return isFixed(path) && old !== now ? [`${at}: was ${JSON.stringify(old)}, is ${JSON.stringify(now)}`] : [];
};

const typeOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

/** Members whose values existing clients look at, and which do not depend on the run. */
const FIXED = new Set([
  'v',
  'event',
  'type',
  'action',
  'status',
  'ok',
  'daemon',
  'name',
  'error',
  'role',
  'mode',
  'title',
  'model',
  'writerId',
  'clientId',
  'cancelled',
  'cancelledQueued',
  'cancelledActive',
  'queueSize',
  'queuedTurns',
  'toolCalls',
  'toolCallCount',
]);

const isFixed = (path: string): boolean => FIXED.has(/([^.[\]]+)(?:\[\d+\])*$/.exec(path)?.[1] ?? '');
