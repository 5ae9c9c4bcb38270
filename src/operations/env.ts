import { z } from 'zod';
import { pairs } from '../config/pairs.ts';
import { invalidProvider, providerOf } from '../config/providers.ts';
import { DefaultModeSchema } from '../config/schema.ts';
import { OptaError } from '../protocol/errors.ts';
import { define, nothing, type Operations } from './operation.ts';
import { applyProfile, deleteProfile, listProfiles, saveProfile, showProfile } from './profiles.ts';

const Name = z.object({ name: z.string().max(256) });

/** Numbers as text too, as existing clients send them. */
const Port = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^\d{1,5}$/)
      .transform(Number),
  ])
  .pipe(z.number().int().min(1).max(65_535));

/** Throws `invalid-request`. */
export const providerNamed = (text: string): string => {
  const name = providerOf(text);
  if (name === undefined) throw new OptaError('invalid-request', invalidProvider(text));
  return name;
};

/** Throws `invalid-request`. */
export const keysByHost = (said: string | { [host: string]: string }): { [host: string]: string } => {
  const table = typeof said === 'string' ? pairs(said) : said;
  if (table === undefined)
    throw new OptaError('invalid-request', 'Invalid admin keys by host: expected a JSON object or host=key pairs');
  return table as { [host: string]: string };
};

/** `env.*`: the profiles of `opta env`. */
export const ENV_OPERATIONS: Operations = {
  'env.list': define({
    title: 'List profiles',
    description: 'The saved connection profiles, and which of them was applied last; secrets are covered.',
    safety: 'read',
    input: nothing,
    run: (world) => listProfiles(world),
  }),
  'env.show': define({
    title: 'Show a profile',
    description: 'One profile; without a name, the active one.',
    safety: 'read',
    input: z.object({ name: z.string().max(256).optional() }),
    run: (world, { name }) => showProfile(world, name),
  }),
  'env.save': define({
    title: 'Save a profile',
    description: 'Keeps the settings that hold now under a name, with what is said here in their place.',
    safety: 'write',
    input: Name.extend({
      host: z.string().min(1).max(255).optional(),
      port: Port.optional(),
      adminKey: z.string().max(4_096).optional(),
      adminKeysByHost: z.union([z.string().max(65_536), z.record(z.string(), z.string())]).optional(),
      model: z.string().max(256).optional(),
      provider: z.string().max(64).optional(),
      mode: DefaultModeSchema.optional(),
    }),
    run: (world, { name, provider, adminKeysByHost, ...input }) =>
      saveProfile(world, name, {
        ...input,
        provider: provider === undefined ? undefined : providerNamed(provider),
        adminKeysByHost: adminKeysByHost === undefined ? undefined : keysByHost(adminKeysByHost),
      }),
  }),
  'env.use': define({
    title: 'Apply a profile',
    description:
      "Writes a profile's settings into your configuration. The running daemon takes them up at its next start.",
    safety: 'write',
    input: Name,
    run: (world, { name }) => applyProfile(world, name),
  }),
  'env.delete': define({
    title: 'Delete a profile',
    description: 'Removes a profile; the settings that hold now stay.',
    safety: 'write',
    input: Name,
    run: (world, { name }) => deleteProfile(world, name),
  }),
};
