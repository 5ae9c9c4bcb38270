import { pathOf, valueAt } from './keys.ts';
import { isLayer, type Layer, setAt } from './layer.ts';

export const HIDDEN = '(hidden)';

/** Names whose text is a secret wherever it stands, and names of tables whose every text is one. */
const SECRET = /(?:^|api_?|admin_?)key$|(?:token|secret|password)$/i;
const SECRETS = /^(?:env|headers|(?:api|admin)KeysByHost)$/;
/** Flags and parameters that are likely to hold one. */
const LIKELY = /key|token|secret|passw|auth|credential/i;

/** The same configuration with its secrets covered, the environment and the headers of servers among them. */
export const redacted = (config: unknown): unknown => {
  if (!isLayer(config)) return config;
  const { permissions, ...rest } = config;
  // The names there are those of tools.
  return { ...(cover(rest, false) as Layer), ...(permissions === undefined ? {} : { permissions }) };
};

/** The value of a key, covered where it is a secret or holds one. */
export const covered = (key: string, value: unknown): unknown => {
  if (value === undefined) return undefined;
  const layer: Layer = {};
  setAt(layer, pathOf(key), value);
  return valueAt(redacted(layer), key);
};

const cover = (value: unknown, all: boolean): unknown => {
  if (Array.isArray(value)) return isWords(value) ? coverArgs(value) : value.map((inner) => cover(inner, all));
  if (!isLayer(value)) {
    if (typeof value !== 'string' || value === '') return value;
    return all ? HIDDEN : coverUrl(value);
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const secret = isLayer(inner) ? SECRETS.test(name) : SECRET.test(name);
      return [name, cover(inner, all || secret)];
    }),
  );
};

const isWords = (value: readonly unknown[]): value is string[] => value.every((word) => typeof word === 'string');

/** An address without its password and what looks like a secret in its query; any other text as it is. */
export const coverUrl = (text: string): string => {
  if (!/^[a-z][\w+.-]*:\/\//i.test(text) || !URL.canParse(text)) return text;
  const url = new URL(text);
  const secret = [...url.searchParams.keys()].filter((name) => LIKELY.test(name));
  // As it was written, where nothing has to be covered.
  if (url.password === '' && secret.length === 0) return text;
  if (url.password !== '') url.password = HIDDEN;
  for (const name of secret) url.searchParams.set(name, HIDDEN);
  return url.href;
};

/** The words of a command without what looks like a secret: `--token x`, `--api-key=x`, and addresses. */
export const coverArgs = (args: readonly string[]): string[] =>
  args.map((arg, i) => {
    const [, name] = /^(--?[\w-]+)=/.exec(arg) ?? [];
    if (name !== undefined && LIKELY.test(name)) return `${name}=${HIDDEN}`;
    const before = args[i - 1] ?? '';
    const isValue = /^--?[\w-]+$/.test(before) && LIKELY.test(before) && !arg.startsWith('-');
    return isValue ? HIDDEN : coverUrl(arg);
  });
