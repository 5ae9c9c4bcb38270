import type { Command } from 'commander';
import type { KeyOptions } from '../commands/key.ts';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

/** `opta keychain` and `opta key`. */
export const addKeys = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('keychain')
    .description("keep API keys of providers in the system's keyring")
    .argument('[action]', 'status, set-<provider> or delete-<provider>', 'status')
    .argument('[key]', 'set: the key; "-" reads it from standard input, where nobody sees it')
    .option('--json', 'as JSON')
    .action(async (action: string, value: string | undefined, options: { json?: boolean }) => {
      const { keychainCommand } = await import('../commands/keychain.ts');
      done(await keychainCommand(ctx, action, value, options));
    });
  const key = program.command('key').description('the key for the inference host');
  key
    .command('create')
    .description('make a key and keep it')
    .option('--value <key>', 'keep this one')
    .option('--no-remote', 'do not set it on the inference host (this build never does)')
    .option('--no-copy', 'do not put it on the clipboard')
    .option('--json', 'as JSON')
    .action(async (options: KeyOptions) => {
      const { keyCreateCommand } = await import('../commands/key.ts');
      done(await keyCreateCommand(ctx, options));
    });
  key
    .command('show')
    .description('whether there is a key, and where it comes from')
    .option('--reveal', 'print it in full')
    .option('--copy', 'put it on the clipboard')
    .option('--json', 'as JSON')
    .action(async (options: KeyOptions) => {
      const { keyShowCommand } = await import('../commands/key.ts');
      done(await keyShowCommand(ctx, options));
    });
  key
    .command('copy')
    .description('put it on the clipboard')
    .option('--json', 'as JSON')
    .action(async (options: KeyOptions) => {
      const { keyCopyCommand } = await import('../commands/key.ts');
      done(await keyCopyCommand(ctx, options));
    });
};
