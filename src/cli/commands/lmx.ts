import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { commandOf, isLoopbackHost } from '../../client/daemon-state.ts';
import { hostPolicyOf, requireLocalInference } from '../../config/host-policy.ts';
import { loadConfig } from '../../config/load.ts';
import {
  isProven,
  isRunning,
  type LmxServerRecord,
  lmxServers,
  removeLmxServer,
} from '../../operations/lmx-servers.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { colour, oneLine } from '../output.ts';

export interface LmxServeOptions {
  engine?: string;
  model?: string[];
  url?: string;
  urlKeyEnv?: string;
  script?: string;
  host?: string;
  port?: number;
  apiKeyEnv?: string;
  adminKeyEnv?: string;
  allowOrigin?: string[];
  slots?: number;
  contextLength?: number;
  threads?: number;
  maxTokens?: number;
  gpu?: boolean;
  json?: boolean;
}

/** [HP1] The policy is asked before anything is opened or written. */
export const lmxServeCommand = async (ctx: Context, options: LmxServeOptions): Promise<number> => {
  try {
    const config = loadConfig({ env: ctx.env, file: ctx.paths.configFile });
    requireLocalInference(hostPolicyOf(config, ctx.env), 'Serving inference');
    return await serve(ctx, argsOf({ ...options, engine: options.engine ?? engineFor(options) }));
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

/** What was given names its engine. The demo engine is never chosen for anybody. */
const engineFor = ({ url, script, model = [] }: LmxServeOptions): string => {
  if (url !== undefined) return 'upstream';
  if (script !== undefined) return 'scripted';
  if (model.some((name) => name.endsWith('.gguf'))) return 'llama-cpp';
  throw new UsageError(
    'What is to answer? A server: --url http://127.0.0.1:8080. A model file: --model FILE.gguf. For a look without a model: --engine demo',
  );
};

const argsOf = ({ json, gpu, script, ...rest }: LmxServeOptions): string[] => [
  ...(json ? ['--json'] : []),
  ...(gpu ? ['--gpu'] : []),
  ...(script === undefined ? [] : ['--script', resolve(script)]),
  ...Object.entries(rest).flatMap(([name, value]) => {
    const flag = `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
    // With `=`: a value may begin with a dash.
    return [value].flat().flatMap((each) => (each === undefined ? [] : [`${flag}=${each}`]));
  }),
];

/** The server is a process of its own that speaks for itself, and ends as it ends. */
const serve = async (ctx: Context, args: string[]): Promise<number> => {
  const fromSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(`../../lmx-main.${fromSource ? 'ts' : 'js'}`, import.meta.url));
  const loader = fromSource ? ['--import', import.meta.resolve('tsx')] : [];
  const child = spawn(process.execPath, [...loader, main, ...args], { stdio: 'inherit', env: { ...ctx.env } });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(signal === null ? (code ?? EXIT.error) : EXIT.error));
    });
  } finally {
    for (const signal of signals) process.removeListener(signal, forward);
  }
};

// --- those that run --------------------------------------------------------------------------------------------------

export const lmxStatusCommand = async (
  ctx: Context,
  options: { json?: boolean; exitCode?: boolean },
): Promise<number> => {
  const found = lmxServers(ctx.paths);
  const servers = await Promise.all(found.map(async (record) => ({ ...shown(record), ...(await asked(ctx, record)) })));
  if (options.json) ctx.output.pretty({ running: servers.length > 0, servers });
  else if (servers.length === 0)
    ctx.output.out('No inference server of this installation runs on this machine. To start one: opta lmx serve\n');
  else for (const server of servers) ctx.output.out(textOf(server));
  return options.exitCode && servers.length === 0 ? EXIT.error : EXIT.ok;
};

type Asked = { responding: true; ready: boolean; models: string[]; inFlight: number } | { responding: false };
type Shown = ReturnType<typeof shown>;

const shown = ({ pid, host, port, engine, version, startedAt, logsPath }: LmxServerRecord) => {
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { pid, url, host, port, engine, version, startedAt, logsPath };
};

const ASK_MS = 2_000;
const EVERYWHERE: { [host: string]: string } = { '0.0.0.0': '127.0.0.1', '::': '[::1]' };

/** What its discovery page says, which takes no key. */
const asked = async ({ env }: Context, { host, port }: LmxServerRecord): Promise<Asked> => {
  const at = EVERYWHERE[host] ?? (host.includes(':') ? `[${host}]` : host);
  // [IN1] A guarded installation asks no address but loopback, not even one of this machine.
  if (env.OPTA_LOOPBACK_ONLY && !isLoopbackHost(at)) return { responding: false };
  try {
    const res = await fetch(`http://${at}:${port}/.well-known/opta-lmx`, { signal: AbortSignal.timeout(ASK_MS) });
    const { ready, loaded_models, in_flight_requests } = (await res.json()) as { [fact: string]: unknown };
    const models = Array.isArray(loaded_models) ? loaded_models.map(String) : [];
    return { responding: true, ready: ready === true, models, inFlight: Number(in_flight_requests) || 0 };
  } catch {
    return { responding: false };
  }
};

const textOf = (server: Shown & Asked): string => {
  const state = !server.responding ? 'does not respond' : server.ready ? 'ready' : 'no model is loaded yet';
  const models =
    server.responding && server.models.length > 0
      ? `, ${server.models.map((name) => oneLine(name, 80)).join(', ')}`
      : '';
  const busy = server.responding ? `, ${server.inFlight} requests running` : '';
  const engine = server.engine === 'demo' ? 'demo engine (no model)' : `${oneLine(server.engine)} engine`;
  return `Inference server is running: ${server.url} ${colour.dim(`(pid ${server.pid})`)}\n  since ${server.startedAt}, ${engine}, ${state}${models}${busy}\n`;
};

/** The server lets its requests end for 30 s, and closes what it holds. */
const STOP_MS = 50_000;
const KILL_MS = 2_000;

export const lmxStopCommand = async (ctx: Context, options: { port?: number; json?: boolean }): Promise<number> => {
  try {
    const found = lmxServers(ctx.paths).filter((s) => options.port === undefined || s.port === options.port);
    const [server, ...more] = found;
    if (more.length > 0) {
      const ports = found.map((s) => s.port).join(', ');
      throw new UsageError(`Several inference servers run here, on the ports ${ports}. Say which one: --port N`);
    }
    const how = server ? await stop(ctx, server) : 'not-running';
    const facts = server ? { pid: server.pid, port: server.port } : {};
    if (options.json) ctx.output.pretty({ running: false, stopped: how !== 'not-running', how, ...facts });
    else ctx.output.out(`${STOPPED[how]}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const STOPPED = {
  stopped: 'Inference server stopped',
  killed: 'Inference server did not stop in time and was killed',
  'not-running': 'Inference server is not running',
} as const;

const stop = async (ctx: Context, server: LmxServerRecord): Promise<'stopped' | 'killed'> => {
  // Where the system does not tell processes with one number apart, the command line must at least be a server's.
  const isOurs = (): boolean => isProven(server) || /[\\/]lmx-main\.(ts|js)(\s|$)/.test(commandOf(server.pid));
  if (!isOurs())
    throw new OptaError(
      'state-conflict',
      `Process ${server.pid} is not known to be the inference server of its record`,
    );
  signal(server.pid, 'SIGTERM');
  const isGone = await gone(server, STOP_MS);
  if (!isGone && isOurs()) {
    signal(server.pid, 'SIGKILL');
    if (!(await gone(server, KILL_MS)))
      throw new OptaError('internal', `Process ${server.pid} does not end, even by SIGKILL`);
  }
  removeLmxServer(ctx.paths, server.pid);
  return isGone ? 'stopped' : 'killed';
};

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch (cause) {
    // It has ended by itself in this moment.
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
};

const gone = async (server: LmxServerRecord, deadlineMs: number): Promise<boolean> => {
  const deadline = Date.now() + deadlineMs;
  while (isRunning(server)) {
    if (Date.now() >= deadline) return false;
    await sleep(20);
  }
  return true;
};
