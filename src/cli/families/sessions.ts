import type { Command } from 'commander';
import type { SessionsOptions } from '../commands/sessions.ts';
import type { Context } from '../context.ts';
import { parseCount } from '../options.ts';
import type { Done } from './family.ts';

export const addSessions = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('sessions')
    .description('list, search, show, export, fork or delete sessions')
    .argument('[action]', 'list, search, show, export, fork, delete, undelete or queue', 'list')
    .argument('[words...]', 'session id, or what to search for')
    .option('--json', 'as JSON')
    .option('--model <name>', 'only sessions of this model')
    .option(
      '--limit <n>',
      'list: at most this many (default 20); show: only the last n messages',
      parseCount('--limit'),
    )
    .option('--at <seq>', 'fork: the last event that the new session knows', parseCount('--at', 1e15))
    .option('--deleted', 'list, search: deleted sessions')
    .action(async (action: string, words: string[], options: SessionsOptions) => {
      const { sessionsCommand } = await import('../commands/sessions.ts');
      done(await sessionsCommand(ctx, action, words, options));
    });
};
