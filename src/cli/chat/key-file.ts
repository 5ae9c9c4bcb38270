import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Env, OptaPaths } from '../../config/paths.ts';
import { projectConfig } from '../../config/project.ts';
import type { Override } from '../../tui/run.ts';

const NAME = 'keybindings.json';
const BYTES_MAX = 64 * 1024;
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
 * the project's `.opta/keybindings.json`, which counts while they trust the project: a stranger's file could make a key do
 * what nobody meant.
 */
export const readKeys = (paths: OptaPaths, workspace: string, env: Env): Keys => {
  const notes: string[] = [];
  const own = keysIn(join(paths.configDir, NAME), notes);
  const file = join(workspace, '.opta', NAME);
  const theirs = keysIn(file, notes);
  const trusted = Object.keys(theirs).length > 0 && isTrusted(workspace, paths, env, file);
  if (!trusted && Object.keys(theirs).length > 0)
    notes.push(`keys: ${file} is not used, since the project is not trusted`);
  return { overrides: trusted ? { ...own, ...theirs } : own, notes };
};

const isTrusted = (workspace: string, paths: OptaPaths, env: Env, file: string): boolean => {
  try {
    const project = projectConfig(workspace, env, paths);
    return project !== null && project.trust === 'trusted' && dirname(project.file) === dirname(file);
  } catch {
    return false;
  }
};

const keysIn = (file: string, notes: string[]): { readonly [action: string]: Override } => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return {};
  }
  try {
    if (text.length > BYTES_MAX) throw new Error('too long');
    return KeysSchema.parse(JSON.parse(text));
  } catch {
    notes.push(`keys: ${file} is not used: it has to be {"action": {"key": "ctrl+x"}, …}`);
    return {};
  }
};
