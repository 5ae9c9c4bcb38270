import type { Command } from 'commander';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addDemo = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('demo', { hidden: true })
    .description('what npm start runs')
    .argument('[task...]', 'a task, or "crash"')
    .action(async (words: string[]) => {
      const { demoCommand } = await import('../commands/demo.ts');
      done(await demoCommand(ctx, words));
    });
};
