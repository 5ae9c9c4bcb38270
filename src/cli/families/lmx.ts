import type { Command } from 'commander';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addLmx = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('lmx')
    .description('the inference server')
    .command('serve')
    .description('serve inference from this machine')
    .option('--json', 'as JSON')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (options: { json?: boolean }) => {
      const { lmxServeCommand } = await import('../commands/lmx.ts');
      done(await lmxServeCommand(ctx, options));
    });
};
