import type { McpServer } from '../../config/schema.ts';
import { coverArgs, coverUrl, HIDDEN } from '../../config/secrets.ts';
import { OptaError } from '../../protocol/errors.ts';

export type StdioServer = Extract<McpServer, { command: string }>;
export type HttpServer = Extract<McpServer, { url: string }>;

export const isHttp = (server: McpServer): server is HttpServer => 'url' in server;
export const transportOf = (server: McpServer): 'stdio' | 'http' => (isHttp(server) ? 'http' : 'stdio');

const bad = (message: string): OptaError => new OptaError('invalid-request', `${message}. Nothing was changed`);

/**
 * A server from the words of a command line: an address, or a command, whose arguments may stand in the same word (`"npx -y pkg"`) or
 * behind it. Throws `invalid-request`.
 */
export const serverFrom = (command: string, args: readonly string[], table: { [name: string]: string }): McpServer => {
  if (/^https?:\/\//i.test(command)) {
    if (args.length > 0) throw bad('An address takes no arguments');
    return { url: command, ...(Object.keys(table).length === 0 ? {} : { headers: table }) };
  }
  const [program, ...rest] = words(command);
  if (program === undefined) throw bad('The command is empty');
  return { command: program, args: [...rest, ...args], env: table };
};

/** Words as a shell would part them, with quotes and nothing else of a shell. A backslash counts only where it changes something. */
const words = (text: string): string[] => {
  const quoted = /\\[\s"'\\]|"(?:\\["\\]|[^"])*"|'[^']*'/g;
  if (/["']/.test(text.replace(quoted, ''))) throw bad('A quote in the command is not closed');
  const parts = text.match(/(?:\\[\s"'\\]|"(?:\\["\\]|[^"])*"|'[^']*'|[^\s"'])+/g) ?? [];
  return parts.map((part) =>
    part.replace(quoted, (found) => {
      const inner = found.slice(1, -1);
      if (found.startsWith('\\')) return found.slice(1);
      return found.startsWith("'") ? inner : inner.replace(/\\(["\\])/g, '$1');
    }),
  );
};

/** `K=V,K2=V2`, given once or several times. A comma that no further name follows belongs to the value. Throws `invalid-request`. */
export const pairsFrom = (texts: readonly string[], what: string): { [name: string]: string } => {
  const table: { [name: string]: string } = {};
  for (const pair of texts.flatMap((text) => text.split(/,(?=\s*[A-Za-z_][\w-]*=)/))) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, at)).trim();
    // What stands there may be a secret, so it is not quoted.
    if (!/^[A-Za-z_][\w-]*$/.test(name)) throw bad(`${what} must be NAME=value pairs between commas`);
    table[name] = pair.slice(at + 1).trim();
  }
  return table;
};

/** The server as it is shown: its environment, its headers, and what looks like a secret in its arguments and address are covered. */
export const shown = (server: McpServer, reveal: boolean): object => {
  if (isHttp(server)) {
    const { url, headers } = server;
    const facts = { url: reveal ? url : coverUrl(url) };
    return { transport: 'http', ...facts, ...(headers ? { headers: reveal ? headers : coverAll(headers) } : {}) };
  }
  const { command, args, env } = server;
  return { transport: 'stdio', command, args: reveal ? args : coverArgs(args), env: reveal ? env : coverAll(env) };
};

const coverAll = (table: { [name: string]: string }): { [name: string]: string } =>
  Object.fromEntries(Object.keys(table).map((name) => [name, HIDDEN]));

export interface PlaywrightOptions {
  mode: 'isolated' | 'attach';
  command: string;
  packageName: string;
  allowedHosts: readonly string[];
  blockedOrigins: readonly string[];
  env: { [name: string]: string };
}

/** The Playwright server, in a browser profile of its own or in the one that is kept. */
export const playwrightServer = (options: PlaywrightOptions): StdioServer => {
  const { mode, command, packageName, allowedHosts, blockedOrigins, env } = options;
  const list = (flag: string, values: readonly string[], between: string): string[] => {
    const given = [...new Set(values.map((value) => value.trim()).filter((value) => value !== ''))];
    return given.length === 0 ? [] : [flag, given.join(between)];
  };
  const args = [
    '-y',
    packageName,
    ...(mode === 'isolated' ? ['--isolated'] : []),
    ...list('--allowed-hosts', allowedHosts, ','),
    ...list('--blocked-origins', blockedOrigins, ';'),
  ];
  return { command, args, env };
};
