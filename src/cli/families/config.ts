import type { Command } from 'commander';
import type { ConfigOptions } from '../commands/config.ts';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addConfig = (program: Command, ctx: Context, done: Done): void => {
  const named = (name: string, text: string, standard: (options: ConfigOptions) => string): void => {
    program
      .command(name)
      .description(text)
      .argument('[action]', 'get, set, list, delete, reset, explain, path, trust or menu')
      .argument('[key]', 'e.g. connection.host; for trust: a folder, or "list"')
      .argument('[value]', 'text, or JSON for lists and objects')
      .option('--json', 'as JSON')
      .option('--revoke', 'trust: take it back')
      .action(
        async (
          action: string | undefined,
          key: string | undefined,
          value: string | undefined,
          options: ConfigOptions,
        ) => {
          const { configCommand } = await import('../commands/config.ts');
          done(await configCommand(ctx, action ?? standard(options), key, value, options));
        },
      );
  };
  named('config', 'read and change the configuration; without an action: list', () => 'list');
  named('settings', 'the same; without an action, at a terminal: a menu', ({ json }) => (json ? 'list' : 'menu'));
  program
    .command('onboard')
    .alias('setup')
    .description('first steps: what was found on this machine, and what to type next')
    .option('--json', 'as JSON; asks and changes nothing')
    .action(async (options: { json?: boolean }) => {
      const { onboardCommand } = await import('../commands/onboard.ts');
      done(await onboardCommand(ctx, options));
    });
};
