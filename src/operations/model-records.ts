import { join } from 'node:path';
import { z } from 'zod';
import { withFileLock } from '../config/file-lock.ts';
import { readText } from '../config/layer.ts';
import { ensurePrivateDir, type OptaPaths, writePrivateFile } from '../config/paths.ts';
import { OptaError } from '../protocol/errors.ts';

export const ModelActionSchema = z.enum(['use', 'load', 'unload', 'download', 'delete']);
export type ModelAction = z.infer<typeof ModelActionSchema>;

const EntrySchema = z.object({
  id: z.string(),
  firstSeenAt: z.string(),
  lastSeenAt: z.string(),
  lastAction: ModelActionSchema,
});
const RecordsSchema = z.object({
  version: z.literal(1),
  aliases: z.record(z.string(), z.string()).default({}),
  /** The newest first. */
  history: z.array(EntrySchema).default([]),
});
export type HistoryEntry = z.infer<typeof EntrySchema>;
type Records = z.infer<typeof RecordsSchema>;

const HISTORY_MAX = 500;
const ALIASES_MAX = 200;
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

const fileOf = (paths: OptaPaths): string => join(paths.configDir, 'models.json');

/** What was chosen, loaded and named from this machine. Throws `invalid-request` for a file that is damaged. */
export const readRecords = (paths: OptaPaths): Records => {
  const text = readText(fileOf(paths));
  if (text === null) return { version: 1, aliases: {}, history: [] };
  try {
    return RecordsSchema.parse(JSON.parse(text));
  } catch {
    throw new OptaError('invalid-request', `${fileOf(paths)} is damaged; correct or remove it`);
  }
};

const change = <T>(paths: OptaPaths, act: (records: Records) => T): Promise<T> => {
  ensurePrivateDir(paths.configDir);
  return withFileLock(fileOf(paths), () => {
    const records = readRecords(paths);
    const result = act(records);
    writePrivateFile(fileOf(paths), `${JSON.stringify(records, null, 2)}\n`);
    return result;
  });
};

/** Remembers what was done with a model. */
export const remember = (paths: OptaPaths, id: string, action: ModelAction): Promise<void> =>
  change(paths, (records) => {
    const now = new Date().toISOString();
    const before = records.history.find((entry) => entry.id === id);
    const entry = { id, firstSeenAt: before?.firstSeenAt ?? now, lastSeenAt: now, lastAction: action };
    records.history = [entry, ...records.history.filter((other) => other.id !== id)].slice(0, HISTORY_MAX);
  });

/** Resolves with the model that the name stood for before, or null. */
export const setAlias = async (paths: OptaPaths, name: string, model: string): Promise<string | null> => {
  if (!NAME.test(name))
    throw new OptaError(
      'invalid-request',
      `"${name}" cannot be an alias: letters, digits, ".", "_" and "-", at most 64, the first a letter or digit`,
    );
  return change(paths, ({ aliases }) => {
    const before = Object.hasOwn(aliases, name) ? (aliases[name] as string) : null;
    if (before === null && Object.keys(aliases).length >= ALIASES_MAX)
      throw new OptaError('invalid-request', `There are ${ALIASES_MAX} aliases already`);
    aliases[name] = model;
    return before;
  });
};

/** Resolves with the model that the name stood for. Throws `not-found`. */
export const deleteAlias = async (paths: OptaPaths, name: string): Promise<string> => {
  const has = (records: Records): boolean => Object.hasOwn(records.aliases, name);
  const unknown = (): OptaError => new OptaError('not-found', `There is no alias "${name}"`);
  if (!has(readRecords(paths))) throw unknown();
  return change(paths, (records) => {
    if (!has(records)) throw unknown();
    const { [name]: model = '', ...rest } = records.aliases;
    records.aliases = rest;
    return model;
  });
};
