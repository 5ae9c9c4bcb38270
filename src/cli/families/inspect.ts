import type { Command } from 'commander';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addInspect = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('inspect')
    .description('the statechart of every live actor, with its active states')
    .argument('[session]', 'only this session; an id or its beginning')
    .option('--json', 'as JSON')
    .option('--tree', 'as an indented tree instead of Mermaid text')
    .action(async (session: string | undefined, options: { json?: boolean }) => {
      const { inspectCommand } = await import('../commands/inspect.ts');
      done(await inspectCommand(ctx, session, options));
    });
  program
    .command('why')
    .description('what a session waits for, since when, and who can end the wait')
    .argument('<session>', 'session id, or its beginning')
    .option('--json', 'as JSON')
    .action(async (session: string, options: { json?: boolean }) => {
      const { whyCommand } = await import('../commands/inspect.ts');
      done(await whyCommand(ctx, session, options));
    });
  program
    .command('undo')
    .description('take back what a turn did to files; all of it, or nothing')
    .argument('[turn]', 'turn id (default: the newest that changed files)')
    .option('--session <id>', "the turn's session, or the beginning of its id (default: the newest of this folder)")
    .option('--dry-run', 'only say what would be done')
    .option('--json', 'as JSON')
    .action(async (turn: string | undefined, options: { session?: string; dryRun?: boolean; json?: boolean }) => {
      const { undoCommand } = await import('../commands/undo.ts');
      done(await undoCommand(ctx, turn, options));
    });
};
