import type { EnvOptions } from '../commands/env.ts';
import type { Family } from './family.ts';

export const addEnv: Family = (program, ctx, done) => {
  program
    .command('env')
    .description('named connection profiles: save what holds now, and switch between them')
    .argument('[action]', 'list, show, save, use, delete or help', 'list')
    .argument('[name]', 'the profile')
    .option('--host <host>', 'save: inference host')
    .option('--port <port>', 'save: its port')
    .option('--admin-key <key>', 'save: key for changing its models; empty for none')
    .option('--admin-keys-by-host <map>', 'save: the same by host, as JSON or host=key,host=key')
    .option('--model <name>', 'save: default model')
    .option('--provider <name>', 'save: provider')
    .option('--mode <mode>', 'save: safe, auto, plan, review, research, dangerous or ci')
    .option('--json', 'as JSON')
    .action(async (action: string, name: string | undefined, options: EnvOptions) => {
      const { envCommand } = await import('../commands/env.ts');
      done(await envCommand(ctx, action, name, options));
    });
};
