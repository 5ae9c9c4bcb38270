import type { Command } from 'commander';
import type { DoOptions } from '../commands/do.ts';
import type { Context } from '../context.ts';
import { parseDuration } from '../options.ts';
import { type Done, repeat } from './family.ts';

export const addDo = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('do')
    .description('run one task and print its result; "-" reads the task from standard input')
    .argument('[task...]', 'the task, in words')
    .option('-m, --model <name>', 'model for this task')
    .option('--provider <name>', 'a provider by its name; every prompt goes to the configured inference host')
    .option('--device <host[:port]>', 'inference host, when this command starts the daemon')
    .option('-f, --format <type>', 'text, json or jsonl (the event log)', 'text')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-o, --output <path>', 'write the result to a file as well')
    .option('--mode <slug>', 'chat, plan, review, research, do or ceo (default: do, or what defaultMode says)')
    .option('--no-commit', 'do not commit changes')
    .option('--no-checkpoints', 'do not keep checkpoints')
    .option('-a, --auto', 'allow edits without asking')
    .option('--dangerous', 'allow everything without asking')
    .option('--yolo', 'the same as --dangerous')
    .option('--add-dir <path>', 'extra context directory (repeatable)', repeat)
    .option('--session <id>', 'continue this session; its id or the beginning of it')
    .option('--idempotency-key <key>', 'with --session: the same key again is the same turn, and prints its result')
    .option('--detach', 'leave when the task is accepted, and print its ids')
    .option('--json-schema <file|json>', 'the answer has to be JSON that is valid against this schema')
    .option('--timeout <duration>', 'cancel after this long, e.g. 30s, 10m', parseDuration)
    .action(async (words: string[], options: DoOptions) => {
      const { runDo } = await import('../commands/do.ts');
      done(await runDo(ctx, words, options));
    });
};
