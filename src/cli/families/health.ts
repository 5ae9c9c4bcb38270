import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addHealth = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('doctor')
    .description('check this installation, and say what to type where something is wrong')
    .option('--json', 'as JSON')
    .addOption(new Option('-f, --format <type>', 'text or json').choices(['text', 'json']).default('text'))
    .option('--exit-code', 'exit 1 when a check failed')
    .addOption(new Option('--fix', 'changes nothing: each line says what to type').hideHelp())
    .action(async (options: { json?: boolean; format: string; exitCode?: boolean }) => {
      const { doctorCommand } = await import('../commands/doctor.ts');
      done(await doctorCommand(ctx, options));
    });
};
