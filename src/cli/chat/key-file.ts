import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readText } from '../../config/layer.ts';
import type { Env, OptaPaths } from '../../config/paths.ts';
import { findProjectFile, projectConfig } from '../../config/project.ts';
import { toOptaError } from '../../protocol/errors.ts';
import type { Override } from '../../tui/run.ts';
import { oneLine } from '../output.ts';

const NAME = 'keybindings.json';
const BYTES_MAX = 64 * 1024;
const NOTE_CHARS_MAX = 400;
const KeysSchema = z.record(
  z.string().max(64),
  z.object({ key: z.string().max(64), description: z.string().max(400).optional() }),
);

export interface Keys {
  overrides: { readonly [action: string]: Override };
  notes: readonly string[];
}

/**
 * The keys of the full screen that somebody has given to other actions: the person's own file beside their configuration, then
 * the one beside their project's configuration, once they trust that: a stranger's file could make a key do what nobody meant, and
 * is not even opened.
 */
export const readKeys = (paths: OptaPaths, workspace: string, env: Env): Keys => {
  const notes: string[] = [];
  const mine = join(paths.configDir, NAME);
  const own = keysIn(mine, notes);
  const trusted = trustedFolder(workspace, paths, env);
  if (trusted !== null) return { overrides: { ...own, ...keysIn(join(trusted, NAME), notes) }, notes };
  const file = findProjectFile(workspace, env, join('.opta', NAME));
  if (file !== null && file !== mine) notes.push(`keys: ${file} is not used, since the project is not trusted`);
  return { overrides: own, notes };
};

/** Where the project's configuration lies that the person trusts; null when there is none. */
const trustedFolder = (workspace: string, paths: OptaPaths, env: Env): string | null => {
  try {
    const project = projectConfig(workspace, env, paths);
    return project?.trust === 'trusted' ? dirname(project.file) : null;
  } catch {
    return null;
  }
};

const keysIn = (file: string, notes: string[]): { readonly [action: string]: Override } => {
  try {
    const text = readText(file, BYTES_MAX);
    if (text === null) return {};
    const keys = KeysSchema.safeParse(jsonOf(text));
    if (keys.success) return keys.data;
    notes.push(`keys: ${file} is not used: it has to be {"action": {"key": "ctrl+x"}, …}`);
  } catch (cause) {
    notes.push(`keys: not used. ${oneLine(toOptaError(cause).message, NOTE_CHARS_MAX)}`);
  }
  return {};
};

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
