import { type Command, Option } from 'commander';
import type { HealthFlags, PlaywrightFlags } from '../commands/mcp.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../exit.ts';
import { parseDuration } from '../options.ts';
import { type Done, repeat } from './family.ts';

/** `opta mcp`. */
export const addMcp = (program: Command, ctx: Context, done: Done): void => {
  const mcp = program.command('mcp').description('servers of tools (Model Context Protocol)');
  mcp
    .command('list')
    .description('the servers in the configuration')
    .option('--json', 'as JSON')
    .option('--reveal', 'do not hide secrets')
    .action(async (options: { json?: boolean; reveal?: boolean }) => {
      const { mcpListCommand } = await import('../commands/mcp.ts');
      done(await mcpListCommand(ctx, options));
    });
  mcp
    .command('add')
    .description('add a server: a command, or an address that begins with http')
    .argument('<name>', 'what to call it')
    .argument('<command>', '"npx -y some-package", or https://…')
    .argument('[args...]', 'further arguments of the command; after -- also such as begin with a dash')
    .option('--env <pairs>', 'K=V,K2=V2 for the command (repeatable)', repeat)
    .option('--header <pairs>', 'K=V,K2=V2 sent to the address (repeatable)', repeat)
    .option('--json', 'as JSON')
    .action(async (name: string, command: string, args: string[], options: { json?: boolean; env?: string[] }) => {
      const { mcpAddCommand } = await import('../commands/mcp.ts');
      done(await mcpAddCommand(ctx, name, command, args, options));
    });
  mcp
    .command('add-playwright')
    .description('add the server that drives a browser')
    .option('--name <name>', 'what to call it', 'playwright')
    .addOption(
      new Option('--mode <mode>', 'a browser profile of its own, or the one that is kept')
        .choices(['isolated', 'attach'])
        .default('isolated'),
    )
    .option('--command <command>', 'what runs the package', 'npx')
    .option('--package <name>', 'the package', '@playwright/mcp@latest')
    .option('--allowed-hosts <hosts>', 'between commas')
    .option('--blocked-origins <origins>', 'between commas')
    .option('--env <pairs>', 'K=V,K2=V2 (repeatable)', repeat)
    .option('--json', 'as JSON')
    .action(async (options: PlaywrightFlags) => {
      const { mcpAddPlaywrightCommand } = await import('../commands/mcp.ts');
      done(await mcpAddPlaywrightCommand(ctx, options));
    });
  mcp
    .command('remove')
    .description('remove a server')
    .argument('<name>')
    .option('--json', 'as JSON')
    .action(async (name: string, options: { json?: boolean }) => {
      const { mcpRemoveCommand } = await import('../commands/mcp.ts');
      done(await mcpRemoveCommand(ctx, name, options));
    });
  addProbes(mcp, ctx, done);
};

const addProbes = (mcp: Command, ctx: Context, done: Done): void => {
  mcp
    .command('test')
    .description('talk to a server and list its tools')
    .argument('<name>')
    .option('--timeout-ms <ms>', 'how long it may take (default 30000)', parseTimeout)
    .option('--json', 'as JSON')
    .action(async (name: string, options: { json?: boolean; timeoutMs?: number }) => {
      const { mcpTestCommand } = await import('../commands/mcp.ts');
      done(await mcpTestCommand(ctx, name, options));
    });
  mcp
    .command('health')
    .description('whether each server answers')
    .option('--json', 'as JSON; with --watch one line each time')
    .option('--watch <seconds>', 'look again after this long', parseDuration)
    .option('--probe-stdio', 'start the commands, too')
    .option('--timeout-ms <ms>', 'how long each may take, 500 at least', parseTimeout, 5_000)
    .option('--exit-code', 'exit 1 when a server is down')
    .action(async (options: HealthFlags) => {
      const { mcpHealthCommand } = await import('../commands/mcp.ts');
      done(await mcpHealthCommand(ctx, options));
    });
};

const TIMEOUT_MS = { min: 500, max: 600_000 };

/** A shorter one is taken for the shortest that makes sense, as it always was. */
const parseTimeout = (text: string): number => {
  const ms = Number(text);
  if (!/^\d+$/.test(text.trim()) || ms > TIMEOUT_MS.max)
    throw new UsageError(`--timeout-ms must be a whole number up to ${TIMEOUT_MS.max}`);
  return Math.max(TIMEOUT_MS.min, ms);
};
