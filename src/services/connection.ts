import { homedir } from 'node:os';
import type { Client, Transport } from '@modelcontextprotocol/client';
import type { Env } from '../config/paths.ts';
import type { McpServer } from '../config/schema.ts';
import { GroupTransport } from './stdio-transport.ts';

/** How a server of tools is reached: the pieces that a look at one and a service that stays have in common. */
export type StdioServer = Extract<McpServer, { command: string }>;
export type HttpServer = Extract<McpServer, { url: string }>;

const CLOSE_MS = 2_000;

/** `fetch` takes no name and password in an address; they belong into a header. One that is given has the last word. */
export const placeOf = (server: HttpServer): { url: string; headers: { [name: string]: string } } => {
  const url = new URL(server.url);
  const { username, password } = url;
  const given = server.headers ?? {};
  if (username === '' && password === '') return { url: url.href, headers: given };
  url.username = '';
  url.password = '';
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const isGiven = Object.keys(given).some((name) => name.toLowerCase() === 'authorization');
  return { url: url.href, headers: isGiven ? given : { ...given, Authorization: `Basic ${login}` } };
};

export const stdioOf = async (
  sdk: typeof import('@modelcontextprotocol/client'),
  server: StdioServer,
  { env, cwd = env.HOME || homedir(), mark }: { env: Env; cwd?: string; mark?: string },
): Promise<Transport> => {
  const { getDefaultEnvironment, StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');
  // No process groups there, and commands such as npx are scripts, which the library knows how to start.
  if (process.platform === 'win32')
    return new StdioClientTransport({
      ...server,
      env: { ...getDefaultEnvironment(), ...server.env },
      cwd,
      stderr: 'ignore',
    });
  return new GroupTransport(sdk, server, {
    env: getDefaultEnvironment(),
    cwd,
    ...(mark === undefined ? {} : { mark }),
  });
};

export const closed = async (client: Client, transport: Transport): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS);
  });
  // Both: a client that never connected does not know its transport.
  await Promise.race([Promise.allSettled([client.close(), transport.close()]), late]);
  clearTimeout(timer);
};

/** Libraries hide what happened in the cause of the cause; what the innermost says is the reason. */
export const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  let inner = cause;
  for (let depth = 0; depth < 5 && inner.cause instanceof Error; depth++) inner = inner.cause;
  return inner === cause || cause.message.includes(inner.message)
    ? cause.message
    : `${cause.message}: ${inner.message}`;
};
