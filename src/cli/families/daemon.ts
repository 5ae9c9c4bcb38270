import { type Command, Option } from 'commander';
import type { StartOptions } from '../commands/daemon.ts';
import type { Context } from '../context.ts';
import { parseCount, parseListenHost, parsePort } from '../options.ts';
import type { Done } from './family.ts';

export const addDaemon = (program: Command, ctx: Context, done: Done): void => {
  const daemon = program.command('daemon').description('start, stop and watch the daemon');
  const startable = (name: string, text: string): Command =>
    daemon
      .command(name)
      .description(text)
      .option('--host <host>', 'loopback address to listen on (default 127.0.0.1)', parseListenHost)
      .option('--port <port>', 'preferred port (default 9999)', parsePort)
      .addOption(new Option('--engine <name>', 'where answers come from').choices(['lmx', 'demo']))
      .option('--model <name>', 'default model')
      .addOption(new Option('--lan', 'refused: the daemon only listens on loopback').hideHelp());
  startable('start', 'start the daemon, or find the running one')
    .option('--json', 'print its state as JSON')
    .option('--show-token', 'do not hide the token')
    .action(async (options: StartOptions) => {
      const { startDaemonCommand } = await import('../commands/daemon.ts');
      done(await startDaemonCommand(ctx, options));
    });
  startable('run', 'run the daemon in the foreground')
    .addOption(new Option('--token <token>', 'refused').hideHelp())
    .action(async (options: StartOptions & { token?: string }) => {
      const { runDaemonCommand } = await import('../commands/daemon.ts');
      done(await runDaemonCommand(ctx, options));
    });
  startable('restart', 'stop the daemon and start it again, at the same port')
    .option('--json', 'print its state as JSON')
    .option('--show-token', 'do not hide the token')
    .action(async (options: StartOptions) => {
      const { restartDaemonCommand } = await import('../commands/daemon.ts');
      done(await restartDaemonCommand(ctx, options));
    });
  addDaemonViews(daemon, ctx, done);
};

const addDaemonViews = (daemon: Command, ctx: Context, done: Done): void => {
  daemon
    .command('stop')
    .description('stop the daemon')
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }) => {
      const { stopDaemonCommand } = await import('../commands/daemon.ts');
      done(await stopDaemonCommand(ctx, options));
    });
  daemon
    .command('status')
    .description('say whether the daemon runs')
    .option('--json', 'as JSON')
    .option('--show-token', 'do not hide the token')
    .option('--exit-code', 'exit 1 when it does not run')
    .action(async (options: { json?: boolean; showToken?: boolean; exitCode?: boolean }) => {
      const { daemonStatusCommand } = await import('../commands/daemon.ts');
      done(await daemonStatusCommand(ctx, options));
    });
  daemon
    .command('logs')
    .description("print the end of the daemon's log")
    .option('--json', 'as one JSON array')
    .option('-n, --lines <count>', 'how many lines', parseCount('--lines'), 200)
    .option('-f, --follow', 'go on as the log grows')
    .action(async (options: { json?: boolean; lines: number; follow?: boolean }) => {
      const { logsCommand } = await import('../commands/logs.ts');
      done(await logsCommand(ctx, options));
    });
  for (const [name, text] of [
    ['install', 'let the system start the daemon when you log in'],
    ['uninstall', 'take that away again'],
  ] as const)
    daemon
      .command(name)
      .description(text)
      .option('--json', 'as JSON')
      .action(async (options: { json?: boolean }) => {
        const { serviceCommand } = await import('../commands/service.ts');
        done(await serviceCommand(ctx, name, options));
      });
};
