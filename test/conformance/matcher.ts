/** What vectors compare with: docs/conformance/README.md, "Matchers". */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What a vector has learned so far. */
export type Captures = Map<string, Json>;

const NAME = /\$\{([A-Za-z][A-Za-z0-9]*)\}/g;

const known = (name: string, captures: Captures): Json => {
  const found = captures.get(name);
  if (found === undefined) throw new Error(`nothing is captured as ${name}`);
  return found;
};

const isObject = (v: Json | undefined): v is { [name: string]: Json } =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

/** Puts in what was captured. A string that is one name and nothing else becomes the value itself, whatever its kind. */
export const filled = (template: Json, captures: Captures): Json => {
  if (typeof template === 'string') {
    const alone = /^\$\{([A-Za-z][A-Za-z0-9]*)\}$/.exec(template);
    if (alone) return known(alone[1] as string, captures);
    return template.replaceAll(NAME, (_, name: string) => String(known(name, captures)));
  }
  if (Array.isArray(template)) return template.map((item) => filled(item, captures));
  if (!isObject(template)) return template;
  if ('$say' in template) return prompt(template);
  return Object.fromEntries(Object.entries(template).map(([name, item]) => [name, filled(item, captures)]));
};

/** `{"$say": directive, "words": "…"}`: a prompt that tells the scripted model what to do. */
const prompt = ({ $say, words = 'go' }: { [name: string]: Json }): string =>
  `${String(words)} @@${JSON.stringify($say)}@@`;

const KINDS: { [kind: string]: (v: Json | undefined) => boolean } = {
  string: (v) => typeof v === 'string' && v !== '',
  integer: (v) => Number.isInteger(v),
  boolean: (v) => typeof v === 'boolean',
  time: (v) => typeof v === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/.test(v),
};

type Rule = (argument: Json, value: Json | undefined, captures: Captures) => boolean;

const RULES: { [name: string]: Rule } = {
  $is: (kind, v) => {
    const test = KINDS[String(kind)];
    if (!test) throw new Error(`there is no kind ${String(kind)}`);
    return test(v);
  },
  $absent: (wanted, v) => (v === undefined) === wanted,
  $not: (inner, v, c) => !holds(inner, v, new Map(c)),
  $any: (inners, v, c) => (inners as Json[]).some((inner) => holds(inner, v, c)),
  $above: (bound, v, c) => typeof v === 'number' && v > Number(filled(bound, c)),
  $contains: (part, v, c) => typeof v === 'string' && v.includes(String(filled(part, c))),
  $has: (inner, v, c) => Array.isArray(v) && v.some((item) => holds(inner, item, c)),
};

/** Whether a value is what a pattern says. What `$as` names is kept only when the whole pattern holds. */
export const matches = (pattern: Json, value: Json | undefined, captures: Captures): boolean => {
  const tried = new Map(captures);
  if (!holds(pattern, value, tried)) return false;
  for (const [name, found] of tried) captures.set(name, found);
  return true;
};

const holds = (pattern: Json, value: Json | undefined, captures: Captures): boolean => {
  if (isObject(pattern) && Object.keys(pattern).some((name) => name.startsWith('$') && name !== '$say')) {
    return ruled(pattern, value, captures);
  }
  if (isObject(pattern) && !('$say' in pattern)) {
    return isObject(value) && Object.entries(pattern).every(([name, inner]) => holds(inner, value[name], captures));
  }
  if (Array.isArray(pattern)) {
    if (!Array.isArray(value) || value.length !== pattern.length) return false;
    return pattern.every((inner, i) => holds(inner, value[i], captures));
  }
  return filled(pattern, captures) === value;
};

const ruled = (pattern: { [name: string]: Json }, value: Json | undefined, captures: Captures): boolean => {
  const { $as, ...rules } = pattern;
  for (const [name, argument] of Object.entries(rules)) {
    const rule = RULES[name];
    if (!rule) throw new Error(`there is no rule ${name}`);
    if (!rule(argument, value, captures)) return false;
  }
  if ($as === undefined) return true;
  if (value === undefined || value === null) return false;
  captures.set(String($as), value);
  return true;
};
