import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { OptaError } from '../protocol/errors.ts';
import { KEYS, nearest } from './keys.ts';
import { type Config, ConfigSchema } from './schema.ts';

/** A part of a configuration, as a file, the environment or a command line says it. */
export type Layer = { [key: string]: unknown };

export const isLayer = (value: unknown): value is Layer =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Fails with `invalid-request`; `where` is the file or the variables. */
export const broken = (where: string, what: string, details: string[] = [what]): OptaError =>
  new OptaError('invalid-request', `Configuration ${where}: ${what}`, { file: where, details });

const FILE_BYTES_MAX = 1 << 20;

/** The text of a file that somebody else may have put there: a pipe or a device is never waited for. Null when there is none. */
export const readText = (file: string, bytesMax = FILE_BYTES_MAX): string | null => {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw broken(file, 'cannot be read: it is not a file');
    if (stat.size > bytesMax) throw broken(file, `cannot be read: it is larger than ${bytesMax} bytes`);
    return readFileSync(fd, 'utf8');
  } catch (cause) {
    if (cause instanceof OptaError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw broken(file, `cannot be read: ${(cause as Error).message}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
};

/** Reads JSON, with comments too. What it says of a fault never quotes the text, which may hold a key. */
export const parseLayer = (text: string, file: string): Layer => {
  const bare = withoutComments(text.replace(/^\uFEFF/, ''));
  let value: unknown;
  try {
    value = JSON.parse(bare);
  } catch (cause) {
    const at = /position (\d+)/.exec((cause as Error).message)?.[1];
    const line = at === undefined ? '' : ` (line ${bare.slice(0, Number(at)).split('\n').length})`;
    throw broken(file, `is not valid JSON${line}`);
  }
  if (!isLayer(value)) throw broken(file, 'must hold a JSON object');
  return value;
};

/** Blanks comments out, so that positions stay; what looks like one inside a string is text. */
export const withoutComments = (text: string): string =>
  text.replace(/"(?:\\.|[^"\\\n])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) =>
    part.startsWith('"') ? part : part.replace(/[^\n]/g, ' '),
  );

/** Objects are merged key by key, everything else is replaced. Keys that could reach a prototype are left to the schema. */
export const merge = (under: Layer, over: Layer): Layer => {
  const out: Layer = { ...under };
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const below = out[key];
    out[key] = isLayer(value) && isLayer(below) ? merge(below, value) : value;
  }
  return out;
};

/** Sets a value at a path, or removes it when it is undefined; the layer itself is changed. */
export const setAt = (layer: Layer, path: readonly string[], value: unknown): void => {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length > 0) {
    const inner = isLayer(layer[head]) ? layer[head] : {};
    setAt(inner, rest, value);
    if (Object.keys(inner).length === 0) delete layer[head];
    else layer[head] = inner;
  } else if (value === undefined) delete layer[head];
  else layer[head] = value;
};

/** Throws `invalid-request` that names the place, each key and what is expected of it. */
export const checked = (value: unknown, where: string): Config => {
  const parsed = ConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const path = issue.path.join('.');
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key)).join('; ');
    return `${path || '(top level)'}: ${issue.message}`;
  });
  throw broken(where, problems.join('; '), problems);
};

/** What was probably meant is looked for among the keys of the same section first, then among the last parts of all. */
const unknownKey = (parent: string, name: string): string => {
  const prefix = parent === '' ? '' : `${parent}.`;
  const keys = KEYS.map((row) => row.key);
  const here = keys.flatMap((key) =>
    key.startsWith(prefix) ? [key.slice(prefix.length).split('.')[0] as string] : [],
  );
  const sibling = nearest(name, here);
  const meant = sibling === undefined ? keys.find((key) => key.split('.').at(-1) === name) : `${prefix}${sibling}`;
  return `${prefix}${name}: unknown key${meant === undefined ? '' : `, did you mean "${meant}"?`}`;
};
