import { type Command, Option } from 'commander';
import type { LmxServeOptions } from '../commands/lmx.ts';
import type { Context } from '../context.ts';
import { parseCount, parsePort } from '../options.ts';
import { type Done, repeat } from './family.ts';

export const addLmx = (program: Command, ctx: Context, done: Done): void => {
  const lmx = program.command('lmx').description('the inference server');
  lmx
    .command('serve')
    .description('serve inference from this machine, in the foreground')
    .addOption(
      new Option('--engine <name>', 'where answers come from').choices(['upstream', 'llama-cpp', 'scripted', 'demo']),
    )
    .option('--model <name>', 'a model to load: its name, or FILE.gguf or NAME=FILE.gguf; repeatable', repeat)
    .option('--url <url>', 'OpenAI-compatible server behind the upstream engine')
    .option('--url-key-env <name>', 'variable with the key for that server')
    .option('--script <file>', 'what the scripted engine says')
    .option('--host <host>', 'address to listen on (default 127.0.0.1); any but loopback needs both keys')
    .option('--port <port>', 'port (default 1234; 0: any)', parsePort)
    .option('--api-key-env <name>', 'variable with the key that callers need')
    .option('--admin-key-env <name>', 'variable with the key for the administration')
    .option('--allow-origin <origin>', 'web origin that may use it, besides those of loopback; repeatable', repeat)
    .option('--slots <n>', 'requests answered at once (default: as the engine can)', parseCount('--slots', 1_024))
    .option('--context-length <tokens>', 'of the llama-cpp engine', parseCount('--context-length'))
    .option(
      '--max-tokens <n>',
      'of the llama-cpp engine: of an answer whose caller names no bound',
      parseCount('--max-tokens'),
    )
    .option('--threads <n>', 'of the llama-cpp engine', parseCount('--threads', 1_024))
    .option('--gpu', 'let the llama-cpp engine use one')
    .option('--json', 'as JSON')
    .action(async (options: LmxServeOptions) => {
      const { lmxServeCommand } = await import('../commands/lmx.ts');
      done(await lmxServeCommand(ctx, options));
    });
  lmx
    .command('status')
    .description('the inference servers that run on this machine')
    .option('--json', 'as JSON')
    .option('--exit-code', 'exit 1 when none runs')
    .action(async (options: { json?: boolean; exitCode?: boolean }) => {
      const { lmxStatusCommand } = await import('../commands/lmx.ts');
      done(await lmxStatusCommand(ctx, options));
    });
  lmx
    .command('stop')
    .description('stop an inference server of this machine; what runs may end first')
    .option('--port <port>', 'which one, when several run', parsePort)
    .option('--json', 'as JSON')
    .action(async (options: { port?: number; json?: boolean }) => {
      const { lmxStopCommand } = await import('../commands/lmx.ts');
      done(await lmxStopCommand(ctx, options));
    });
};
