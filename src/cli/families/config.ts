import type { Command } from 'commander';
import type { ConfigOptions } from '../commands/config.ts';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addConfig = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('config')
    .alias('settings')
    .description('read and change the configuration')
    .argument('[action]', 'get, set, list, delete, reset, explain, path or trust', 'list')
    .argument('[key]', 'e.g. connection.host; for trust: a folder, or "list"')
    .argument('[value]', 'text, or JSON for lists and objects')
    .option('--json', 'as JSON')
    .option('--revoke', 'trust: take it back')
    .action(async (action: string, key: string | undefined, value: string | undefined, options: ConfigOptions) => {
      const { configCommand } = await import('../commands/config.ts');
      done(await configCommand(ctx, action, key, value, options));
    });
};
