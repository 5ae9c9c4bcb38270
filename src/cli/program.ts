import { Command, CommanderError, Option } from 'commander';
import type { ConfigOptions } from './commands/config.ts';
import type { StartOptions } from './commands/daemon.ts';
import type { DoOptions } from './commands/do.ts';
import type { SessionsOptions } from './commands/sessions.ts';
import { type Context, packageVersion } from './context.ts';
import { parseCount, parseDuration, parseListenHost, parsePort } from './options.ts';

/** The command tree. A command's code is loaded when it is run: `opta do` pays for no other. */
export const buildProgram = (ctx: Context, done: (exitCode: number) => void): Command => {
  const program = new Command('opta')
    .description('Local agent runtime: sessions as supervised state machines behind one loopback daemon')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('-v, --verbose', 'say more on stderr')
    .option('--debug', 'the same, with the stack of what went wrong')
    .enablePositionalOptions()
    .hook('preAction', () => {
      const { verbose, debug } = program.opts<{ verbose?: boolean; debug?: boolean }>();
      if (verbose) process.env.OPTA_VERBOSE = '1';
      if (debug) process.env.OPTA_DEBUG = '1';
    })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => ctx.output.out(text),
      writeErr: (text) => ctx.output.err(text),
    });
  addDo(program, ctx, done);
  addDaemon(program, ctx, done);
  addSessions(program, ctx, done);
  addConfig(program, ctx, done);
  addHealth(program, ctx, done);
  addLmx(program, ctx, done);
  addInspect(program, ctx, done);
  addDemo(program, ctx, done);
  return program;
};

export { CommanderError };

type Done = (exitCode: number) => void;

const repeat = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

const addDo = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('do')
    .description('run one task and print its result; "-" reads the task from standard input')
    .argument('[task...]', 'the task, in words')
    .option('-m, --model <name>', 'model for this task')
    .option('--provider <name>', 'provider for this task')
    .option('--device <host[:port]>', 'inference host, when this command starts the daemon')
    .option('-f, --format <type>', 'text, json or jsonl (the event log)', 'text')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-o, --output <path>', 'write the result to a file as well')
    .option('--mode <slug>', 'chat, plan, review, research, do or ceo', 'do')
    .option('--no-commit', 'do not commit changes')
    .option('--no-checkpoints', 'do not keep checkpoints')
    .option('-a, --auto', 'allow edits without asking')
    .option('--dangerous', 'allow everything without asking')
    .option('--yolo', 'the same as --dangerous')
    .option('--add-dir <path>', 'extra context directory (repeatable)', repeat)
    .option('--session <id>', 'continue this session')
    .option('--idempotency-key <key>', 'with --session: the same key again is the same turn, and prints its result')
    .option('--timeout <duration>', 'cancel after this long, e.g. 30s, 10m', parseDuration)
    .action(async (words: string[], options: DoOptions) => {
      const { runDo } = await import('./commands/do.ts');
      done(await runDo(ctx, words, options));
    });
};

const addDaemon = (program: Command, ctx: Context, done: Done): void => {
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
      const { startDaemonCommand } = await import('./commands/daemon.ts');
      done(await startDaemonCommand(ctx, options));
    });
  startable('run', 'run the daemon in the foreground')
    .addOption(new Option('--token <token>', 'refused').hideHelp())
    .action(async (options: StartOptions & { token?: string }) => {
      const { runDaemonCommand } = await import('./commands/daemon.ts');
      done(await runDaemonCommand(ctx, options));
    });
  startable('restart', 'stop the daemon and start it again, at the same port')
    .option('--json', 'print its state as JSON')
    .option('--show-token', 'do not hide the token')
    .action(async (options: StartOptions) => {
      const { restartDaemonCommand } = await import('./commands/daemon.ts');
      done(await restartDaemonCommand(ctx, options));
    });
  addDaemonViews(daemon, ctx, done);
};

const addDaemonViews = (daemon: Command, ctx: Context, done: Done): void => {
  daemon
    .command('stop')
    .description('stop the daemon')
    .action(async () => {
      const { stopDaemonCommand } = await import('./commands/daemon.ts');
      done(await stopDaemonCommand(ctx));
    });
  daemon
    .command('status')
    .description('say whether the daemon runs')
    .option('--json', 'as JSON')
    .option('--show-token', 'do not hide the token')
    .option('--exit-code', 'exit 1 when it does not run')
    .action(async (options: { json?: boolean; showToken?: boolean; exitCode?: boolean }) => {
      const { daemonStatusCommand } = await import('./commands/daemon.ts');
      done(await daemonStatusCommand(ctx, options));
    });
  daemon
    .command('logs')
    .description("print the end of the daemon's log")
    .option('--json', 'as one JSON array')
    .option('-n, --lines <count>', 'how many lines', parseCount('--lines'), 200)
    .option('-f, --follow', 'go on as the log grows')
    .action(async (options: { json?: boolean; lines: number; follow?: boolean }) => {
      const { logsCommand } = await import('./commands/logs.ts');
      done(await logsCommand(ctx, options));
    });
};

const addSessions = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('sessions')
    .description('list, search, show, export, fork or delete sessions')
    .argument('[action]', 'list, search, show, export, fork, delete, undelete or queue', 'list')
    .argument('[words...]', 'session id, or what to search for')
    .option('--json', 'as JSON')
    .option('--model <name>', 'only sessions of this model')
    .option(
      '--limit <n>',
      'list: at most this many (default 20); show: only the last n messages',
      parseCount('--limit'),
    )
    .option('--at <seq>', 'fork: the last event that the new session knows', parseCount('--at', 1e15))
    .option('--deleted', 'list, search: deleted sessions')
    .action(async (action: string, words: string[], options: SessionsOptions) => {
      const { sessionsCommand } = await import('./commands/sessions.ts');
      done(await sessionsCommand(ctx, action, words, options));
    });
};

const addConfig = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('config')
    .alias('settings')
    .description('read and change the configuration')
    .argument('[action]', 'get, set, list, delete, reset, explain, path or trust', 'list')
    .argument('[key]', 'e.g. connection.host; for trust: a folder, or "list"')
    .argument('[value]', 'text, or JSON for lists and objects')
    .option('--json', 'as JSON')
    .option('--revoke', 'trust: take it back')
    .action(async (action: string, key: string | undefined, value: string | undefined, options: ConfigOptions) => {
      const { configCommand } = await import('./commands/config.ts');
      done(await configCommand(ctx, action, key, value, options));
    });
};

const addHealth = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('doctor')
    .description('check this installation, and say what to type where something is wrong')
    .option('--json', 'as JSON')
    .addOption(new Option('-f, --format <type>', 'text or json').choices(['text', 'json']).default('text'))
    .option('--exit-code', 'exit 1 when a check failed')
    .addOption(new Option('--fix', 'changes nothing: each line says what to type').hideHelp())
    .action(async (options: { json?: boolean; format: string; exitCode?: boolean }) => {
      const { doctorCommand } = await import('./commands/doctor.ts');
      done(await doctorCommand(ctx, options));
    });
};

const addLmx = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('lmx')
    .description('the inference server')
    .command('serve')
    .description('serve inference from this machine')
    .option('--json', 'as JSON')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (options: { json?: boolean }) => {
      const { lmxServeCommand } = await import('./commands/lmx.ts');
      done(await lmxServeCommand(ctx, options));
    });
};

const addInspect = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('inspect')
    .description('the statechart of every live actor, with its active states')
    .argument('[session]', 'only this session')
    .option('--json', 'as JSON')
    .option('--tree', 'as an indented tree instead of Mermaid text')
    .action(async (session: string | undefined, options: { json?: boolean }) => {
      const { inspectCommand } = await import('./commands/inspect.ts');
      done(await inspectCommand(ctx, session, options));
    });
  program
    .command('why')
    .description('what a session waits for, since when, and who can end the wait')
    .argument('<session>', 'session id')
    .option('--json', 'as JSON')
    .action(async (session: string, options: { json?: boolean }) => {
      const { whyCommand } = await import('./commands/inspect.ts');
      done(await whyCommand(ctx, session, options));
    });
};

const addDemo = (program: Command, ctx: Context, done: Done): void => {
  program
    .command('demo', { hidden: true })
    .description('what npm start runs')
    .argument('[task...]', 'a task, or "crash"')
    .action(async (words: string[]) => {
      const { demoCommand } = await import('./commands/demo.ts');
      done(await demoCommand(ctx, words));
    });
};
