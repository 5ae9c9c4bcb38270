import { type Command, Option } from 'commander';
import type { StatusOptions } from '../commands/status.ts';
import type { Context } from '../context.ts';
import type { Done } from './family.ts';

export const addHealth = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('status')
    .description('the daemon, the inference host and its models; exit 3 when the host is away')
    .option('--device <host[:port]>', 'inference host, when this command starts the daemon')
    .option('--remote', 'the configured inference host and no other')
    .option('--json', 'as JSON')
    .option('--full', 'wait longer, and show the machine and its memory')
    .action(async (options: StatusOptions) => {
      const { statusCommand } = await import('../commands/status.ts');
      done(await statusCommand(ctx, options));
    });
  program
    .command('health')
    .description('a short check for scripts: exit 1 when one fails')
    .option('--json', 'as JSON')
    .option('--skip-lmx', 'do not look at the inference host')
    .action(async (options: { json?: boolean; skipLmx?: boolean }) => {
      const { healthCommand } = await import('../commands/health.ts');
      done(await healthCommand(ctx, options));
    });
  program
    .command('doctor')
    .description('check this installation, and say what to type where something is wrong')
    .option('--json', 'as JSON')
    .addOption(new Option('-f, --format <type>', 'text or json').choices(['text', 'json']).default('text'))
    .option('--exit-code', 'exit 1 when a check failed')
    .addOption(new Option('--fix', 'changes nothing: each line says what to type').hideHelp())
    .action(async (options: { json?: boolean; format: string; exitCode?: boolean; fix?: boolean }) => {
      const { doctorCommand } = await import('../commands/doctor.ts');
      done(await doctorCommand(ctx, options));
    });
};
