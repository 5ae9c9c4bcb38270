import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { withFileLock } from '../../config/file-lock.ts';
import { broken, readText } from '../../config/layer.ts';
import { ensurePrivateDir, type OptaPaths, writePrivateFile } from '../../config/paths.ts';

/** Secrets where no keyring keeps them: a file that its owner alone can read, not encrypted. */
const FileSchema = z.object({ version: z.literal(1), secrets: z.record(z.string(), z.string()) });

export const secretFileOf = (paths: OptaPaths): string => join(paths.configDir, 'secrets.json');

/** By account. A damaged file is told and never written over: what stands in it may still be saved by hand. */
export const readSecrets = (paths: OptaPaths): Map<string, string> => {
  const file = secretFileOf(paths);
  const text = readText(file);
  if (text === null) return new Map();
  closeToOthers(file);
  try {
    return new Map(Object.entries(FileSchema.parse(JSON.parse(text)).secrets));
  } catch {
    // Neither the parser's words nor the schema's: they could quote a key.
    throw broken(file, 'is damaged, so no key in it can be read; mend or remove it');
  }
};

/** Sets a secret, or removes it with null. True when there was one before. */
export const writeSecret = async (paths: OptaPaths, account: string, secret: string | null): Promise<boolean> => {
  if (secret === null && !readSecrets(paths).has(account)) return false;
  ensurePrivateDir(paths.configDir);
  const file = secretFileOf(paths);
  return withFileLock(file, () => {
    const secrets = readSecrets(paths);
    const had = secrets.has(account);
    if (secret === null) secrets.delete(account);
    else secrets.set(account, secret);
    if (secret !== null || had)
      writePrivateFile(file, `${JSON.stringify({ version: 1, secrets: Object.fromEntries(secrets) }, null, 2)}\n`);
    return had;
  });
};

/** Restored from a backup, or copied: then it may have been left open. */
const closeToOthers = (file: string): void => {
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
};
