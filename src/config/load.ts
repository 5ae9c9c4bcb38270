import { readFileSync } from 'node:fs';
import { OptaError } from '../protocol/errors.ts';
import { type Env, optaPaths } from './paths.ts';
import { type Config, type ConfigInput, ConfigSchema } from './schema.ts';

/**
 * The effective configuration: flags over environment over the user's file over defaults, merged key by key.
 * Throws `invalid-request` that names the file or variable and what is wrong with it; secrets never appear in the text.
 */
export const loadConfig = (from: { env?: Env; flags?: ConfigInput; file?: string } = {}): Config => {
  const env = from.env ?? process.env;
  const file = from.file ?? optaPaths(env).configFile;
  const user = readUserFile(file);
  // Each layer is checked on its own first, so that the message blames the one that is wrong.
  parse(user, file);
  const fromEnv = envLayer(env);
  parse(fromEnv.layer, fromEnv.names.join(', '));
  const flags = (from.flags ?? {}) as Layer;
  parse(flags, 'the command line');
  return parse(merge(merge(user, fromEnv.layer), flags), file);
};

type Layer = { [key: string]: unknown };

const readUserFile = (file: string): Layer => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw broken(file, `cannot be read: ${(cause as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    // The parser's own message quotes the text around the fault, which may be a key.
    throw broken(file, `is not valid JSON${whereOf(text)}`);
  }
  if (!isLayer(value)) throw broken(file, 'must hold a JSON object');
  return value;
};

/** Line of the fault, found by asking how much of the text parses, without quoting any of it. */
const whereOf = (text: string): string => {
  try {
    JSON.parse(text);
    return '';
  } catch (cause) {
    const at = /position (\d+)/.exec((cause as Error).message)?.[1];
    return at === undefined ? '' : ` (line ${text.slice(0, Number(at)).split('\n').length})`;
  }
};

const broken = (where: string, what: string): OptaError =>
  new OptaError('invalid-request', `Configuration ${where}: ${what}`, { file: where });

/** Empty variables count as unset, as shells leave them. */
const envLayer = (env: Env): { layer: Layer; names: string[] } => {
  const layer: Layer = {};
  const names: string[] = [];
  for (const [name, path, read] of ENV) {
    const text = env[name];
    if (text === undefined || text === '') continue;
    names.push(name);
    set(layer, path, read(text));
  }
  return { layer, names };
};

/** Text that is no number stays text, so that the schema refuses it with its path. */
const number = (text: string): unknown => (/^\d+$/.test(text.trim()) ? Number(text) : text);
const flag = (text: string): unknown => {
  const t = text.trim().toLowerCase();
  if (['1', 'true', 'yes', 'on'].includes(t)) return true;
  return ['0', 'false', 'no', 'off'].includes(t) ? false : text;
};
const same = (text: string): unknown => text;

const ENV: [name: string, path: string[], read: (text: string) => unknown][] = [
  ['OPTA_HOST', ['connection', 'host'], same],
  ['OPTA_PORT', ['connection', 'port'], number],
  ['OPTA_API_KEY', ['connection', 'apiKey'], same],
  ['OPTA_TRUSTED', ['connection', 'trusted'], flag],
  ['OPTA_LOOPBACK_ONLY', ['connection', 'loopbackOnly'], flag],
  ['OPTA_MODEL', ['model', 'default'], same],
  ['OPTA_ENGINE', ['engine'], same],
  ['OPTA_PERMISSION_DEADLINE_MS', ['permissions', 'deadlineMs'], number],
  ['OPTA_DAEMON_PORT', ['daemon', 'port'], number],
];

const set = (layer: Layer, path: string[], value: unknown): void => {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    layer[head] = value;
    return;
  }
  const inner = isLayer(layer[head]) ? layer[head] : {};
  layer[head] = inner;
  set(inner, rest, value);
};

const isLayer = (value: unknown): value is Layer =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Objects are merged key by key, everything else is replaced. Keys that could reach a prototype are left to the schema. */
const merge = (under: Layer, over: Layer): Layer => {
  const out: Layer = { ...under };
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const below = out[key];
    out[key] = isLayer(value) && isLayer(below) ? merge(below, value) : value;
  }
  return out;
};

const parse = (value: unknown, where: string): Config => {
  const parsed = ConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((i) => `${i.path.join('.') || '(top level)'}: ${i.message}`);
  throw new OptaError('invalid-request', `Configuration ${where}: ${problems.join('; ')}`, {
    file: where,
    details: problems,
  });
};
