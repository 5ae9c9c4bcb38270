#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { reportFailure } from './cli/exit.ts';
import { createOutput } from './cli/output.ts';
import { hostPolicyOf, requireLocalInference } from './config/host-policy.ts';
import { loadConfig } from './config/load.ts';
import { ensurePrivateDir, optaPaths } from './config/paths.ts';
import type { EngineKind } from './lmx/engine.ts';
import type { LmxError } from './lmx/errors.ts';
import type { Gateway } from './lmx/gateway.ts';
import { createGateway } from './lmx/gateway-system.ts';
import { LMX_LIMITS } from './lmx/limits.ts';
import { chooseEngine } from './lmx/serve-engine.ts';
import { startLmxServer } from './lmx/server.ts';
import { lmxServers, removeLmxServer, writeLmxServer } from './operations/lmx-servers.ts';
import { fileLog, newId, realClock } from './platform.ts';
import { type ErrorCode, OptaError } from './protocol/errors.ts';
import { chooseTransport } from './transport/choose.ts';
import { isLoopbackHost } from './transport/origin.ts';

/**
 * The inference server, in the foreground: engine, gateway, wires. `opta lmx serve` starts it and says what it says. Keys come by the
 * name of a variable, since every user of a machine can read a command line.
 */
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const json = process.argv.includes('--json');
const output = createOutput();

const run = async (): Promise<void> => {
  const { values } = parseArgs({ options: OPTIONS });
  const paths = optaPaths();
  const config = loadConfig({ env: process.env, file: paths.configFile });
  // [HP1] First of all, however this was started.
  requireLocalInference(hostPolicyOf(config), 'Serving inference');
  const [host, port] = [values.host ?? '127.0.0.1', Number(values.port ?? '1234')];
  const [apiKey, adminKey, urlKey] = [values['api-key-env'], values['admin-key-env'], values['url-key-env']].map(keyIn);
  const kind = values.engine as EngineKind;
  const script = values.script === undefined ? {} : { script: scriptIn(values.script) };
  const late = lateLog();
  const { engine, load, defaultModel } = chooseEngine(
    {
      kind,
      models: values.model ?? [],
      loopbackOnly: config.connection.loopbackOnly ?? false,
      llamaCppFolders: [join(paths.configDir, 'llama-cpp'), fileURLToPath(new URL('..', import.meta.url))],
      ...script,
      ...count('contextLength', values['context-length']),
      ...count('threads', values.threads),
      ...count('maxTokens', values['max-tokens']),
      ...count('slots', values.slots),
      ...(values.gpu === undefined ? {} : { gpu: values.gpu }),
      ...(values.url === undefined ? {} : { url: values.url }),
      ...(urlKey === undefined ? {} : { urlKey }),
    },
    { clock: realClock, log: late.log },
  );
  const gateway = createGateway(
    {
      ...count('slots', values.slots),
      ...(defaultModel === undefined ? {} : { defaultModel }),
    },
    { engine, clock: realClock, log: late.log, newId: () => newId(24) },
  );
  const server = await startLmxServer({
    gateway,
    adapter: chooseTransport(config.daemon.transport),
    host,
    port,
    version,
    allowedHosts: isLoopbackHost(host) ? [] : namesOfThisMachine(),
    allowedOrigins: values['allow-origin'] ?? [],
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(adminKey === undefined ? {} : { adminKey }),
    clock: realClock,
    log: late.log,
  }).catch((cause: unknown) => {
    throw sayWhose(cause, port);
  });

  ensurePrivateDir(paths.configDir);
  ensurePrivateDir(paths.lmxDir);
  const logsPath = join(paths.lmxDir, 'lmx.log');
  const log = fileLog(logsPath, `lmx_${process.pid}`);
  late.begin(log);
  guardProcess(log, () => removeLmxServer(paths, process.pid));
  const stop = onStopSignal(async () => {
    // First the record: nobody should be sent to a server that is on its way out.
    removeLmxServer(paths, process.pid);
    await server.close();
    log.info('stopped');
    log.flush();
  });
  writeLmxServer(paths, {
    host,
    port: server.port,
    engine: kind,
    version,
    startedAt: new Date().toISOString(),
    logsPath,
  });
  try {
    for (const model of load) await loaded(gateway, model);
  } catch (cause) {
    await stop();
    throw cause;
  }
  sayReady(gateway, host, server.port);
};

const OPTIONS = {
  engine: { type: 'string' },
  model: { type: 'string', multiple: true },
  url: { type: 'string' },
  script: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'api-key-env': { type: 'string' },
  'admin-key-env': { type: 'string' },
  'url-key-env': { type: 'string' },
  'allow-origin': { type: 'string', multiple: true },
  slots: { type: 'string' },
  'context-length': { type: 'string' },
  threads: { type: 'string' },
  'max-tokens': { type: 'string' },
  gpu: { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

const count = <K extends string>(name: K, text: string | undefined): { [name in K]?: number } =>
  text === undefined ? {} : ({ [name]: Number(text) } as { [name in K]: number });

const keyIn = (name: string | undefined): string | undefined => {
  if (name === undefined) return undefined;
  const key = process.env[name];
  // What tools and models' processes inherit holds no key.
  delete process.env[name];
  if (!key) throw new OptaError('invalid-request', `The variable ${name} is to hold a key, and is empty`);
  return key;
};

const scriptIn = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new OptaError(
      'invalid-request',
      `The script ${file} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
    );
  }
};

/** Nothing is written before the port is ours: what is said until then waits. */
const lateLog = () => {
  const early: (() => void)[] = [];
  let log: ReturnType<typeof fileLog> | null = null;
  const at =
    (level: 'info' | 'warn' | 'error') =>
    (msg: string, facts?: object): void => {
      if (log) log[level](msg, facts);
      else if (early.length < 1_000) early.push(() => log?.[level](msg, facts));
    };
  return {
    log: { info: at('info'), warn: at('warn'), error: at('error') },
    begin: (file: ReturnType<typeof fileLog>): void => {
      log = file;
      for (const say of early.splice(0)) say();
    },
  };
};

/** Under which others may reach this machine when it listens beyond loopback. */
const namesOfThisMachine = (): string[] => {
  const name = hostname();
  const bare = name.split('.')[0] ?? name;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  return [name, bare, `${bare}.local`, ...addresses];
};

/** A port that is taken by one of ours says so. */
const sayWhose = (cause: unknown, port: number): unknown => {
  if (!(cause instanceof OptaError) || cause.code !== 'no-port') return cause;
  const ours = lmxServers(optaPaths()).find((s) => s.port === port);
  const text = ours
    ? `${cause.message} by the inference server with pid ${ours.pid}. To end it: opta lmx stop --port ${port}`
    : `${cause.message}. Another one: --port N`;
  return new OptaError('no-port', text);
};

const loaded = (gateway: Gateway, model: string): Promise<void> =>
  new Promise((resolve, reject) =>
    gateway.load(model, {}, (error) => (error ? reject(notLoaded(model, error)) : resolve())),
  );

const CODES: { [code in LmxError['code']]?: ErrorCode } = {
  model_not_found: 'not-found',
  insufficient_memory: 'lmx-out-of-memory',
  shutting_down: 'shutting-down',
};
const notLoaded = (model: string, { code, message }: LmxError): OptaError =>
  new OptaError(CODES[code] ?? 'no-model-loaded', `opta lmx serve could not load the model ${model}: ${message}`, {
    cause: code,
  });

const sayReady = (gateway: Gateway, host: string, port: number): void => {
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const models = gateway.models().map((m) => m.id);
  const { engine } = gateway;
  if (json) return output.json({ ready: true, url, host, port, pid: process.pid, engine, models });
  const what = engine === 'demo' ? 'the demo engine, which holds no model' : `the ${engine} engine`;
  const names = models.length === 0 ? '' : `: ${models.join(', ')}`;
  output.out(
    `Inference server ready at ${url}/v1 with ${what}${engine === 'demo' ? '' : names} (pid ${process.pid})\n`,
  );
};

/** For what comes after the requests. */
const CLOSE_MS = 15_000;
/** A terminal sends its signal to the command and to this process, and the command passes it on. */
const SAME_SIGNAL_MS = 1_000;

/** A clean stop, once; a later signal ends the process at once. */
const onStopSignal = (stop: () => Promise<void>): (() => Promise<void>) => {
  let stoppingAt = 0;
  const once = async (): Promise<void> => {
    stoppingAt = Date.now();
    setTimeout(() => process.exit(1), LMX_LIMITS.drainMs + CLOSE_MS).unref();
    await stop();
  };
  const on = (): void => {
    if (stoppingAt === 0) once().then(leave(0), leave(1));
    else if (Date.now() - stoppingAt > SAME_SIGNAL_MS) process.exit(130);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, on);
  return once;
};

const leave = (code: number) => (): void => void output.flush().then(() => process.exit(code));

/** An exception that nobody owns leaves unknown state behind: the server ends. */
const guardProcess = (log: { error(msg: string, facts?: object): void; flush(): void }, clean: () => void): void => {
  const end = (kind: string) => (cause: unknown) => {
    log.error(`uncaught ${kind}`, { reason: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
    log.flush();
    clean();
    process.exit(70);
  };
  process.on('uncaughtException', end('exception'));
  process.on('unhandledRejection', end('rejection'));
};

run().catch((cause: unknown) => leave(reportFailure(output, cause, json))());
