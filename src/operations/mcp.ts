import { z } from 'zod';
import { editFile } from '../config/edit.ts';
import { valueAt } from '../config/keys.ts';
import { isLayer, setAt } from '../config/layer.ts';
import { loadConfig } from '../config/load.ts';
import type { Env, OptaPaths } from '../config/paths.ts';
import { type Config, McpNameSchema, type McpServer } from '../config/schema.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { type Probed, type ProbeWorld, probe } from './mcp/probe.ts';
import { isHttp, pairsFrom, playwrightServer, serverFrom, shown, transportOf } from './mcp/servers.ts';
import { define, nothing, type Operations } from './operation.ts';

interface McpWorld {
  paths: OptaPaths;
  env: Env;
}

type ProbeOptions = Pick<ProbeWorld, 'timeoutMs'> & Partial<Pick<ProbeWorld, 'cwd' | 'signal'>>;

const configOf = ({ paths, env }: McpWorld): Config => loadConfig({ env, file: paths.configFile });

/** The servers by name; secrets are covered unless they are asked for. */
export const listServers = (world: McpWorld, reveal: boolean): { [name: string]: object } =>
  Object.fromEntries(
    Object.entries(configOf(world).mcp.servers).map(([name, server]) => [name, shown(server, reveal)]),
  );

/** What was added; secrets are covered. */
export interface McpAdded {
  name: string;
  /** There was another one of this name. */
  replaced: boolean;
  server: object;
}

/** Adds a server, or puts it in the place of the one with its name. What else stands in the file stays. */
export const addServer = async ({ paths, env }: McpWorld, name: string, server: McpServer): Promise<McpAdded> => {
  if (!McpNameSchema.safeParse(name).success) {
    const rule = 'letters, digits, "-", "_" and ".", at most 64, beginning with a letter or digit';
    throw new OptaError('invalid-request', `"${name}" is no name for a server: ${rule}. Nothing was changed`);
  }
  const replaced = await editFile(paths, env, (layer) => {
    const before = valueAt(layer, 'mcp.servers');
    const had = isLayer(before) && Object.hasOwn(before, name);
    setAt(layer, ['mcp', 'servers', name], kept(server));
    return had;
  });
  return { name, replaced, server: shown(server, false) };
};

/** Without what says nothing. */
const kept = (server: McpServer): object => {
  if (isHttp(server)) return server;
  const { command, args, env } = server;
  return { command, ...(args.length > 0 ? { args } : {}), ...(Object.keys(env).length > 0 ? { env } : {}) };
};

/** Rejects with `not-found` when there is no server of this name. */
export const removeServer = async ({ paths, env }: McpWorld, name: string): Promise<{ removed: string }> => {
  await editFile(paths, env, (layer) => {
    const servers = valueAt(layer, 'mcp.servers');
    if (!isLayer(servers) || !Object.hasOwn(servers, name)) throw noServer(name);
    setAt(layer, ['mcp', 'servers', name], undefined);
  });
  return { removed: name };
};

const noServer = (name: string): OptaError =>
  new OptaError('not-found', `There is no MCP server "${name}": opta mcp list`, { name });

export interface McpTested extends Probed {
  ok: true;
  name: string;
  transport: 'stdio' | 'http';
}

/** Talks to a server once. Rejects with `not-found`, `mcp-failed`, `timeout` or `loopback-only`. */
export const testServer = async (
  world: McpWorld & { version: string },
  name: string,
  options: ProbeOptions,
): Promise<McpTested> => {
  const config = configOf(world);
  const server = Object.hasOwn(config.mcp.servers, name) ? config.mcp.servers[name] : undefined;
  if (server === undefined) throw noServer(name);
  try {
    return {
      ok: true,
      name,
      transport: transportOf(server),
      ...(await probe(server, probeWorld(world, config, options))),
    };
  } catch (cause) {
    const { code, message, facts } = toOptaError(cause);
    throw new OptaError(code, `${name}: ${message}`, { ...facts, name });
  }
};

const probeWorld = (world: McpWorld & { version: string }, config: Config, options: ProbeOptions): ProbeWorld => ({
  env: world.env,
  version: world.version,
  loopbackOnly: config.connection.loopbackOnly ?? false,
  ...options,
});

export interface McpHealth {
  generatedAt: string;
  summary: { total: number; healthy: number; down: number; skipped: number };
  servers: {
    name: string;
    transport: 'stdio' | 'http';
    status: 'healthy' | 'down' | 'skipped';
    /** How many. */
    tools: number;
    latencyMs?: number;
    error?: string;
  }[];
}

const PROBES_MAX = 4;

/** All servers, a few at a time. Commands are started only with `probeStdio`. */
export const serversHealth = async (
  world: McpWorld & { version: string },
  options: ProbeOptions & { probeStdio: boolean },
): Promise<McpHealth> => {
  const { probeStdio, ...rest } = options;
  const config = configOf(world);
  const look = async ([name, server]: [string, McpServer]): Promise<McpHealth['servers'][number]> => {
    const facts = { name, transport: transportOf(server) };
    if (!isHttp(server) && !probeStdio)
      return { ...facts, status: 'skipped', tools: 0, error: 'commands are started only with --probe-stdio' };
    try {
      const { tools, latencyMs } = await probe(server, probeWorld(world, config, rest));
      return { ...facts, status: 'healthy', tools: tools.length, latencyMs };
    } catch (cause) {
      return { ...facts, status: 'down', tools: 0, error: toOptaError(cause).message };
    }
  };
  const due = Object.entries(config.mcp.servers).map((entry, i) => ({ entry, i }));
  const servers: McpHealth['servers'] = new Array(due.length);
  const work = async (): Promise<void> => {
    for (let next = due.shift(); next !== undefined; next = due.shift()) servers[next.i] = await look(next.entry);
  };
  await Promise.all(Array.from({ length: PROBES_MAX }, work));
  const count = (status: string): number => servers.filter((row) => row.status === status).length;
  const summary = {
    total: servers.length,
    healthy: count('healthy'),
    down: count('down'),
    skipped: count('skipped'),
  };
  return { generatedAt: new Date().toISOString(), summary, servers };
};

const Name = z.string().min(1);
/** `K=V,K2=V2`. */
const Pairs = z.string().optional();
const Names = z.array(z.string().min(1)).default([]);

export const PLAYWRIGHT = { name: 'playwright', command: 'npx', packageName: '@playwright/mcp@latest' } as const;

/** A server may have to be fetched before it runs for the first time. */
export const TEST_MS = 30_000;

const pairsOf = (text: string | undefined): { [name: string]: string } =>
  text === undefined || text.trim() === '' ? {} : pairsFrom([text], 'env');

/** `mcp.*`. */
export const MCP_OPERATIONS: Operations = {
  'mcp.list': define({
    title: 'List MCP servers',
    description: 'The servers of tools in the configuration, by name; secrets are covered.',
    safety: 'read',
    input: nothing,
    run: (world) => listServers(world, false),
  }),
  'mcp.add': define({
    title: 'Add an MCP server',
    description: 'Puts a command or an address into the configuration. It is not started.',
    safety: 'write',
    input: z.object({ name: Name, command: z.string().min(1), args: z.array(z.string()).default([]), env: Pairs }),
    run: (world, { name, command, args, env }) => addServer(world, name, serverFrom(command, args, pairsOf(env))),
  }),
  'mcp.add-playwright': define({
    title: 'Add the Playwright MCP server',
    description: 'Puts the Playwright server, which drives a browser, into the configuration. It is not started.',
    safety: 'write',
    input: z.object({
      name: Name.default(PLAYWRIGHT.name),
      mode: z.enum(['isolated', 'attach']).default('isolated'),
      command: z.string().min(1).default(PLAYWRIGHT.command),
      packageName: z.string().min(1).default(PLAYWRIGHT.packageName),
      allowedHosts: Names,
      blockedOrigins: Names,
      env: Pairs,
    }),
    run: (world, { name, env, ...options }) =>
      addServer(world, name, playwrightServer({ ...options, env: pairsOf(env) })),
  }),
  'mcp.remove': define({
    title: 'Remove an MCP server',
    description: 'Takes a server of tools out of the configuration.',
    safety: 'write',
    input: z.object({ name: Name }),
    run: (world, { name }) => removeServer(world, name),
  }),
  'mcp.test': define({
    title: 'Test an MCP server',
    description: 'Starts the command of a server, or reaches its address, and lists its tools.',
    safety: 'dangerous',
    input: z.object({ name: Name }),
    run: (world, { name }) => testServer(world, name, { timeoutMs: TEST_MS, signal: world.signal }),
  }),
};
