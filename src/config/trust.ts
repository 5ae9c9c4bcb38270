import { createHash } from 'node:crypto';
import { z } from 'zod';
import { withFileLock } from './file-lock.ts';
import { broken, readText } from './layer.ts';
import { ensurePrivateDir, type OptaPaths, writePrivateFile } from './paths.ts';

/**
 * [CF3] Trust is given to one content of one project's file. A file that changed is a stranger again, and a refusal is remembered
 * just as long, so that nobody is asked twice about the same text.
 */
const TrustSchema = z.object({
  version: z.literal(1),
  projects: z.record(z.string(), z.object({ sha256: z.string(), trusted: z.boolean(), at: z.string() })),
});
export type TrustRecords = z.infer<typeof TrustSchema>['projects'];

export type Trust = 'trusted' | 'refused' | 'changed' | 'unasked';

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A file of records that says nothing usable trusts nobody. Throws `invalid-request`, so that this is not silent. */
export const readTrust = (paths: OptaPaths): TrustRecords => {
  const text = readText(paths.trustFile);
  if (text === null) return {};
  try {
    return TrustSchema.parse(JSON.parse(text)).projects;
  } catch {
    throw broken(paths.trustFile, 'is damaged, so no project is trusted; remove it and trust again');
  }
};

export const trustOf = (records: TrustRecords, file: string, sha256: string): Trust => {
  const record = Object.hasOwn(records, file) ? records[file] : undefined;
  if (record === undefined) return 'unasked';
  if (record.sha256 !== sha256) return 'changed';
  return record.trusted ? 'trusted' : 'refused';
};

/** `null` forgets what was decided. True when there was something to change. */
export const decideTrust = async (
  paths: OptaPaths,
  file: string,
  decision: { sha256: string; trusted: boolean } | null,
): Promise<boolean> => {
  ensurePrivateDir(paths.configDir);
  return withFileLock(paths.trustFile, () => {
    const { [file]: before, ...projects } = readTrust(paths);
    if (decision === null && before === undefined) return false;
    const after = decision === null ? projects : { ...projects, [file]: { ...decision, at: new Date().toISOString() } };
    writePrivateFile(paths.trustFile, `${JSON.stringify({ version: 1, projects: after }, null, 2)}\n`);
    return true;
  });
};
