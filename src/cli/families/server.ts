import { parseListenHost, parsePort } from '../options.ts';
import type { Family } from './family.ts';

export const addServer: Family = (program, ctx, done) => {
  program
    .command('server')
    .description('the HTTP API of the daemon on a port of its own, in the foreground; for older scripts')
    .option('-p, --port <port>', 'port to listen on', parsePort, 3456)
    .option('--host <host>', 'loopback address to listen on', parseListenHost, '127.0.0.1')
    .option('-m, --model <name>', 'default model, when this command starts the daemon')
    .action(async (options: { port: number; host: string; model?: string }) => {
      const { serverCommand } = await import('../commands/server.ts');
      done(await serverCommand(ctx, options));
    });
};
