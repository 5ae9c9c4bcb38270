import { z } from 'zod';
import { deleteKey, requireKey, resetFile, setKey } from '../config/edit.ts';
import { type Resolved, resolveConfig } from '../config/load.ts';
import { covered } from '../config/secrets.ts';
import { effective, listed, noteOn, shown, textOf } from '../config/shown.ts';
import { define, nothing, type Operations, type OperationWorld } from './operation.ts';

const Key = z.string().min(1).max(512);

const resolved = ({ env, paths }: OperationWorld): Resolved => resolveConfig({ env, file: paths.configFile });

/** What a script reads as the value of a key. */
const asText = (value: unknown): string => (value === null ? 'null' : textOf(value));

/** `config.*`. What they answer goes over a wire and into other programs' logs, so secrets are covered in all of it. */
export const CONFIG_OPERATIONS: Operations = {
  'config.get': define({
    title: 'Read a key',
    description: 'The value of one key as text; a secret is covered.',
    safety: 'read',
    input: z.object({ key: Key }),
    run: (world, { key }) => {
      requireKey(key);
      return { key, value: asText(covered(key, effective(resolved(world).config, key))) };
    },
  }),
  'config.set': define({
    title: 'Set a key',
    description: 'Checks and stores one key of your configuration. The running daemon takes it up at its next start.',
    safety: 'write',
    input: z.object({ key: Key, value: z.unknown() }),
    run: async (world, { key, value }) => {
      const change = await setKey(world.paths, world.env, key, asText(value));
      const [before, after] = [covered(key, change.before), covered(key, change.after)];
      const now = covered(key, effective(resolved(world).config, key));
      return {
        key,
        before: before ?? null,
        after: after ?? null,
        effective: now ?? null,
        stdout: `${key}: ${shown(before)} → ${shown(after)}`,
        stderr: noteOn(key) ?? '',
      };
    },
  }),
  'config.list': define({
    title: 'List the configuration',
    description: 'What holds now, the defaults in it; secrets are covered.',
    safety: 'read',
    input: nothing,
    run: (world) => listed(resolved(world).config),
  }),
  'config.reset': define({
    title: 'Reset the configuration',
    description: 'Puts one key back to its default; without a key, puts the whole file aside as config.json.bak.',
    safety: 'write',
    input: z.object({ key: Key.optional() }),
    run: async ({ env, paths }, { key }) => {
      if (key === undefined) {
        const reset = await resetFile(paths);
        return { ok: true, scope: 'all', reset, stdout: 'Configuration reset to defaults', stderr: '' };
      }
      await deleteKey(paths, env, key);
      return { ok: true, scope: 'key', key, message: `${key} reset to default` };
    },
  }),
};
