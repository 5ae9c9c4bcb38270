import type { Command } from 'commander';
import type { WebOptions } from '../commands/web.ts';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addWeb = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('web')
    .description('the page of the daemon in the browser: sessions, chat, statecharts')
    .option('--session <id>', 'begin with this session; an id or its beginning')
    .option('--no-open', 'print the address and open no browser')
    .option('--print', 'the same')
    .option('--json', 'the address as JSON')
    .option('--revoke', 'sign out every page')
    .action(async (options: WebOptions) => {
      const { webCommand } = await import('../commands/web.ts');
      done(await webCommand(ctx, options));
    });
};
