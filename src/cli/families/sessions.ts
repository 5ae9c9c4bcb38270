import type { Command } from 'commander';
import type { SessionsOptions } from '../commands/sessions.ts';
import type { Context } from '../context.ts';
import { parseCount, parseSinceTime, parseSource } from '../options.ts';
import type { Done } from './family.ts';

export const addSessions = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('sessions')
    .description('list, search, show, resume, export, tag, fork or delete sessions')
    .argument(
      '[action]',
      'list, search, show, resume, export, tag, untag, fork, delete, undelete or queue; find and rm are aliases',
      'list',
    )
    .argument('[words...]', 'session id, or its beginning; what to search for')
    .option('--json', 'as JSON')
    .option('--model <name>', 'list, search: only sessions of this model')
    .option('--source <place>', 'local, lmx or hybrid; they are all in the daemon', parseSource)
    .option('--since <time>', 'list, search: made since then: 2026-01-31, 7d, 2w, 1m', parseSinceTime)
    .option('--tag <tag>', 'list, search: only sessions with this tag')
    .option(
      '--limit <n>',
      'list, search: at most this many (default 20); show: only the last n messages',
      parseCount('--limit'),
    )
    .option('--at <seq>', 'fork: the last event that the new session knows', parseCount('--at', 1e15))
    .option('--deleted', 'list, search: deleted sessions')
    .option('-f, --format <type>', 'export: json, jsonl (the event log) or markdown (default json)')
    .option('-o, --output <path>', 'export: write to a file instead of stdout')
    .action(async (action: string, words: string[], options: SessionsOptions) => {
      const { sessionsCommand } = await import('../commands/sessions.ts');
      const ended = await sessionsCommand(ctx, action, words, options);
      if (typeof ended === 'number') done(ended);
      // The command line `opta chat --resume ID`, with its own defaults and its own exit code.
      else await program.parseAsync(['chat', '--resume', ended.resume, ...chatFormat(options)], { from: 'user' });
    });
};

const chatFormat = ({ json }: SessionsOptions): string[] => (json ? ['--format', 'json'] : []);
