import { setTimeout as sleep } from 'node:timers/promises';
import { pairsFrom, playwrightServer, serverFrom } from '../../operations/mcp/servers.ts';
import {
  addServer,
  listServers,
  type McpAdded,
  type McpHealth,
  removeServer,
  serversHealth,
  TEST_MS,
  testServer,
} from '../../operations/mcp.ts';
import { type Context, packageVersion } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { colour, oneLine } from '../output.ts';

interface Json {
  json?: boolean;
}

/** Runs an action; what it says goes to stdout as JSON or as text, its failure too under `--json`. */
const told = async <T>(
  ctx: Context,
  { json = false }: Json,
  run: () => T | Promise<T>,
  text: (said: T) => string,
): Promise<number> => {
  try {
    const said = await run();
    if (json) ctx.output.pretty(said);
    else ctx.output.out(`${text(said)}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, json);
  }
};

export const mcpListCommand = (ctx: Context, options: Json & { reveal?: boolean }): Promise<number> =>
  told(
    ctx,
    options,
    () => listServers(ctx, options.reveal ?? false),
    (servers) => {
      const lines = Object.entries(servers).map(([name, server]) => `${name}  ${described(server)}`);
      return lines.join('\n') || 'No MCP servers. Add one with: opta mcp add <name> <command>';
    },
  );

const described = (server: object): string => {
  const { transport, command, args, url, env, headers } = server as {
    transport: string;
    command?: string;
    args?: string[];
    url?: string;
    env?: { [name: string]: string };
    headers?: { [name: string]: string };
  };
  const pairs = Object.entries({ ...env, ...headers }).map(([name, value]) => `${name}=${value}`);
  return [transport, ...(url === undefined ? [command, ...(args ?? [])] : [url]), ...pairs]
    .map((word) => oneLine(word ?? '', 400))
    .join(' ');
};

const added = ({ name, replaced, server }: McpAdded): string =>
  `${replaced ? 'Replaced' : 'Added'} ${name}: ${described(server)}`;

export const mcpAddCommand = (
  ctx: Context,
  name: string,
  command: string,
  args: readonly string[],
  options: Json & { env?: string[]; header?: string[] },
): Promise<number> =>
  told(
    ctx,
    options,
    () => {
      const isAddress = /^https?:\/\//i.test(command);
      const [right, wrong] = isAddress ? [options.header, options.env] : [options.env, options.header];
      if (wrong !== undefined)
        throw new UsageError(
          isAddress ? 'An address takes --header, not --env' : 'A command takes --env, not --header',
        );
      return addServer(ctx, name, serverFrom(command, args, pairsFrom(right ?? [], isAddress ? '--header' : '--env')));
    },
    added,
  );

export interface PlaywrightFlags extends Json {
  name: string;
  mode: 'isolated' | 'attach';
  command: string;
  package: string;
  allowedHosts?: string;
  blockedOrigins?: string;
  env?: string[];
}

export const mcpAddPlaywrightCommand = (ctx: Context, options: PlaywrightFlags): Promise<number> =>
  told(
    ctx,
    options,
    () => {
      const list = (text: string | undefined): string[] => text?.split(',') ?? [];
      const server = playwrightServer({
        mode: options.mode,
        command: options.command,
        packageName: options.package,
        allowedHosts: list(options.allowedHosts),
        blockedOrigins: list(options.blockedOrigins),
        env: pairsFrom(options.env ?? [], '--env'),
      });
      return addServer(ctx, options.name, server);
    },
    added,
  );

export const mcpRemoveCommand = (ctx: Context, name: string, options: Json): Promise<number> =>
  told(
    ctx,
    options,
    () => removeServer(ctx, name),
    ({ removed }) => `Removed ${removed}`,
  );

export const mcpTestCommand = (ctx: Context, name: string, options: Json & { timeoutMs?: number }): Promise<number> => {
  endWithServers(ctx);
  return told(
    ctx,
    options,
    () => testServer(world(ctx), name, { timeoutMs: options.timeoutMs ?? TEST_MS, cwd: ctx.cwd }),
    ({ server, tools, latencyMs }) => {
      const head = `${name} answers: ${oneLine(`${server.name} ${server.version}`)}, ${count(tools.length)}, ${latencyMs} ms`;
      return [head, ...tools.map((tool) => `  ${oneLine(tool.name)}  ${oneLine(tool.description)}`)].join('\n');
    },
  );
};

export interface HealthFlags extends Json {
  /** Milliseconds. */
  watch?: number;
  probeStdio?: boolean;
  timeoutMs: number;
  exitCode?: boolean;
}

export const mcpHealthCommand = async (ctx: Context, options: HealthFlags): Promise<number> => {
  const { json = false, watch, probeStdio = false, timeoutMs, exitCode = false } = options;
  endWithServers(ctx);
  try {
    for (;;) {
      const health = await serversHealth(world(ctx), { probeStdio, timeoutMs, cwd: ctx.cwd });
      if (!json) ctx.output.out(`${healthText(health)}\n`);
      else if (watch === undefined) ctx.output.pretty(health);
      else ctx.output.json(health);
      // A reader that has had enough ends the watch, as it ends any other command.
      if (watch === undefined || ctx.output.closed) return exitCode && health.summary.down > 0 ? EXIT.error : EXIT.ok;
      await sleep(watch);
    }
  } catch (cause) {
    return reportFailure(ctx.output, cause, json);
  }
};

const healthText = ({ generatedAt, summary, servers }: McpHealth): string => {
  const MARK = { healthy: colour.green('✓'), down: colour.red('✗'), skipped: colour.yellow('–') };
  const lines = servers.map(({ name, transport, status, tools, latencyMs, error }) => {
    const facts = status === 'healthy' ? `${count(tools)}, ${latencyMs} ms` : oneLine(error ?? '', 400);
    return `${MARK[status]} ${name}  ${transport}  ${status}  ${facts}`;
  });
  const { total, healthy, down, skipped } = summary;
  return [`${generatedAt}  ${total} servers: ${healthy} healthy, ${down} down, ${skipped} skipped`, ...lines].join(
    '\n',
  );
};

const count = (tools: number): string => `${tools} ${tools === 1 ? 'tool' : 'tools'}`;

const world = (ctx: Context) => ({ paths: ctx.paths, env: ctx.env, version: packageVersion() });

/** A signal ends this process by its exit, which takes servers that were started with it. */
const endWithServers = (ctx: Context): void => {
  const codes = { SIGINT: EXIT.interrupted, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const [signal, code] of Object.entries(codes))
    process.once(signal, () => {
      ctx.output.err('Interrupted\n');
      process.exit(code);
    });
};
