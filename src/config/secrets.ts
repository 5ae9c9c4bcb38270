import { pathOf, valueAt } from './keys.ts';
import { isLayer, type Layer, setAt } from './layer.ts';

export const HIDDEN = '(hidden)';

/** Names whose text is a secret wherever it stands, and names of tables whose every text is one. */
const SECRET = /(?:^|api_?|admin_?)key$|(?:token|secret|password)$/i;
const SECRETS = /^(?:env|headers|(?:api|admin)KeysByHost)$/;

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
  if (Array.isArray(value)) return value.map((inner) => cover(inner, all));
  if (!isLayer(value)) return all && typeof value === 'string' && value !== '' ? HIDDEN : value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const secret = isLayer(inner) ? SECRETS.test(name) : SECRET.test(name);
      return [name, cover(inner, all || secret)];
    }),
  );
};
