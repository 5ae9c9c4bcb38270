import { z } from 'zod';
import { DAEMON_OPERATIONS } from './daemon.ts';
import { diffOf } from './diff.ts';
import { examine } from './doctor.ts';
import { FolderSchema } from './folder.ts';
import { scaffold } from './init.ts';
import { daemonSelf, define, nothing, type Operations, SHELLS } from './operation.ts';
import { versionCheck } from './version.ts';

const DOCTOR_MS = 30_000;

/** `doctor`, `daemon.*`, and what concerns a folder or the shell. */
export const SYSTEM_OPERATIONS: Operations = {
  doctor: define({
    title: 'Doctor',
    description: 'Checks this installation, and says what to type where something is wrong.',
    safety: 'read',
    deadlineMs: DOCTOR_MS,
    input: z.object({ workspace: FolderSchema.optional() }),
    run: (world, { workspace }) => {
      const { selfCheck, localServers } = daemonSelf(world);
      const { paths, env, version } = world;
      return examine({ paths, env, version, workspace, selfCheck, localServers });
    },
  }),
  ...DAEMON_OPERATIONS,
  'version.check': define({
    title: 'Version',
    description: 'The version that runs. No network is used.',
    safety: 'read',
    input: nothing,
    run: ({ version }) => versionCheck(version),
  }),
  'completions.generate': define({
    title: 'Shell completions',
    description: 'The completion script for a shell.',
    safety: 'read',
    // Written to a start folder only by the command itself, whose shell it is.
    input: z.object({ shell: z.enum(SHELLS), install: z.literal(false).optional() }),
    run: async (world, { shell }) => ({ shell, script: await daemonSelf(world).completions(shell) }),
  }),
  diff: define({
    title: 'Diff',
    description: 'What is not committed in a workspace, or of what a session wrote.',
    safety: 'read',
    input: z.object({ session: z.string().optional(), workspace: FolderSchema.optional() }),
    run: ({ call, env, signal }, asked) => diffOf(asked, { call, env, signal }),
  }),
  'init.run': define({
    title: 'Begin a project',
    description: 'Writes .opta/config.json and AGENTS.md into a workspace, and keeps what is there.',
    safety: 'write',
    input: z.object({ workspace: FolderSchema, force: z.boolean().optional(), yes: z.boolean().optional() }),
    run: (_world, { workspace, force }) => scaffold(workspace, force ? { force } : {}),
  }),
};
