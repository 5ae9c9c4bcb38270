#!/usr/bin/env node
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LIMITS, type Limits } from './actors/limits.ts';
import { createSystem } from './actors/system.ts';
import { currentModel } from './config/default-model.ts';
import { hostKey, keyOfHost } from './config/host-keys.ts';
import { hostPolicyOf, refuseModelFiles, requireRemoteAdmin } from './config/host-policy.ts';
import { type ConfigSources, type Resolved, resolveConfig } from './config/load.ts';
import { ensurePrivateDir, type OptaPaths, optaPaths, readPrivateFile, writePrivateFile } from './config/paths.ts';
import { projectBrings, projectRules } from './config/project.ts';
import { rememberAllowed, rememberedRules } from './config/remembered.ts';
import type { Config } from './config/schema.ts';
import { createAdmin, createInference, type EngineConfig } from './inference/engines.ts';
import { checkInference } from './inference/self-check.ts';
import { createOperationHost } from './operations/host.ts';
import type { DaemonSelf, SelfCheck } from './operations/operation.ts';
import { keychainKeyAtStart } from './operations/secrets/inference-key.ts';
import { fileLog, guardProcess, newId, onStopSignal, realClock, realIds } from './platform.ts';
import { identityOf, ownIdentity } from './process-identity.ts';
import { checkRecord } from './protocol/envelope.ts';
import { errorRow, type OptaError, toOptaError } from './protocol/errors.ts';
import { allowedForGood } from './services/allowed-for-good.ts';
import { createAutoCommit } from './services/auto-commit.ts';
import { createBrought } from './services/brought.ts';
import { createHooks, labelled } from './services/hooks.ts';
import { withProjectTools } from './services/project-tools.ts';
import { withServices } from './services/workspace-tools.ts';
import { acquireInstanceLock } from './storage/instance-lock.ts';
import { openLmdbStore } from './storage/lmdb-store.ts';
import { createProcesses } from './tools/background.ts';
import { createBriefing } from './tools/brief.ts';
import { createTools } from './tools/runner.ts';
import { findSandbox, type Sandbox } from './tools/sandbox/sandbox.ts';
import { sweepVersions } from './tools/versions.ts';
import { chooseTransport } from './transport/choose.ts';
import { DEFAULT_PORTS, type Server, startServer } from './transport/server.ts';

/**
 * The daemon: the only file that sees every layer. It takes the lock, opens the log, recovers, and only then listens.
 *
 * `main [--host H] [--port P] [--engine demo|lmx] [--model M]`; the environment decides the rest, `OPTA_TRANSPORT` among it. The token
 * is made here, for this process, and is never in an argument list or a log. `--self-check` starts nothing and answers `opta doctor`.
 */
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
/** Where `npm run build` puts the page, whether this file runs from `dist` or from `src`. */
const WEB_DIR = fileURLToPath(new URL('../dist/web', import.meta.url));

const run = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      host: { type: 'string' },
      port: { type: 'string' },
      engine: { type: 'string' },
      model: { type: 'string' },
      'self-check': { type: 'boolean' },
    },
  });
  const paths = optaPaths();
  const load = (): Resolved => resolveConfig({ flags: flagsOf(values) });
  const settings = load();
  const { config } = settings;
  refuseModelFiles(hostPolicyOf(config), config);
  if (values['self-check']) return void process.stdout.write(`${JSON.stringify(await selfCheck(settings))}\n`);
  const adapter = chooseTransport(config.daemon.transport);
  // A keyring is asked while the log is opened.
  let keyless: string | null = null;
  const storedKey = keychainKey(settings, (why) => {
    keyless = why;
  });
  ensurePrivateDir(paths.configDir);
  ensurePrivateDir(paths.daemonDir);
  const lock = await acquireInstanceLock(paths.dataDir);
  const daemonId = `daemon_${newId(8)}`;
  const [token, observerToken] = [newToken(), newToken()];
  const limits = limitsOf(config);
  const log = fileLog(paths.logFile, daemonId);
  guardProcess(log);

  const store = privately(() => openLmdbStore({ path: paths.dataDir, diskFreeBytesMin: limits.diskFreeBytesMin }));
  const sandbox = sandboxOf(config, paths);
  log.info(sandbox.kind === 'none' ? 'commands are unconfined' : 'commands are confined', { why: sandbox.why });
  const kept = {
    keptDir: join(paths.dataDir, 'background'),
    adopts: config.background.onRestart === 'adopt',
    adoptWithinMs: config.background.adoptWithin,
  };
  const processes = createProcesses({ clock: realClock, log, identityOf, sandbox, kept });
  const versionsDir = join(paths.dataDir, 'versions');
  const ownTools = createTools({
    clock: realClock,
    log,
    jobsMax: limits.toolJobsMax,
    commands: processes,
    online: !(config.connection.loopbackOnly ?? false),
    outputsDir: join(paths.dataDir, 'outputs'),
    versionsDir,
  });
  const brought = createBrought(projectBrings);
  const tools = withServices(
    withProjectTools(ownTools, { toolsOf: (workspace) => brought.of(workspace).tools, processes }),
    {
      clock: realClock,
      log,
      version,
      loopbackOnly: config.connection.loopbackOnly ?? false,
      // The user's own have the last word.
      servers: (workspace) => ({ ...brought.of(workspace).servers, ...config.mcp.servers }),
    },
  );
  const commits = createAutoCommit({
    clock: realClock,
    log,
    processes,
    isOn: config.git.autoCommit,
    stateOf: (sessionId) => system.parts.registry.stateOf(sessionId),
    record: (sessionId, fact) => system.committed(sessionId, fact),
  });
  const hooks = createHooks({
    clock: realClock,
    log,
    processes,
    hooksOf: (workspace) => [...labelled('user', config.hooks), ...labelled('project', brought.of(workspace).hooks)],
    refresh: brought.refresh,
    pending: commits.pending,
    workspaceOf: (sessionId) => system.parts.registry.stateOf(sessionId)?.workspace,
  });
  const stored = await storedKey;
  if (keyless !== null) log.warn('no key from the keychain', { reason: keyless });
  const connection = engineOf(settings, stored);
  const engine = createInference(connection, { log });
  const admin = createAdmin(connection, { log });
  const model = currentModel(paths.configFile, () => load().config);
  const system = createSystem({
    daemonId,
    clock: realClock,
    ids: realIds,
    log,
    limits,
    store,
    inference: engine,
    tools,
    processes,
    briefing: createBriefing({
      clock: realClock,
      platform: process.platform,
      inference: engine,
      open: (scope, ready) => {
        brought.refresh(scope.workspace);
        return tools.open(scope, (notes) => ready([...brought.notes(scope.workspace), ...notes]));
      },
      facts: () => (sandbox.kind === 'none' ? [] : [CONFINED]),
    }),
    gate: hooks,
    published: (sessionId, records) => {
      hooks.published(sessionId, records);
      always(sessionId, records);
      commits.published(sessionId, records);
    },
    rules: config.permissions.rules,
    workspaceRules: (workspace) => [
      ...projectRules(workspace, (reason) => log.warn('everything is denied', { reason })),
      ...rememberedRules(paths, workspace, (reason) =>
        log.warn('nothing that was allowed for good counts', { reason }),
      ),
    ],
    keepsVersions: config.git.checkpoints,
    permissionDeadlineMs: config.permissions.deadlineMs,
    get defaultModel() {
      return model();
    },
    ...(process.env.OPTA_CHECK === '1' ? { check: checkRecord } : {}),
  });
  const always = allowedForGood(
    (sessionId) => system.parts.registry.stateOf(sessionId),
    (allowed) =>
      rememberAllowed(paths, allowed).catch((cause) => log.error('not remembered', { reason: String(cause) })),
  );
  await new Promise<void>((resolve) => system.start(resolve));

  const host = values.host ?? config.daemon.host;
  let stop = (_why: string): void => undefined;
  const server = await startServer({
    runtime: system,
    adapter,
    token,
    observerToken,
    host,
    ports: { first: config.daemon.port, fallback: config.daemon.port === 0 ? [] : DEFAULT_PORTS.fallback },
    version,
    model: () => model() || (config.engine === 'demo' ? 'demo' : ''),
    facts: () => ({
      toolWorkers: ownTools.status(),
      limits,
      engine: {
        ...engine.status(),
        loopbackOnly: config.connection.loopbackOnly ?? false,
        ...(admin ? { away: admin.away } : {}),
      },
      connection: { host: config.connection.host, port: config.connection.port },
    }),
    ...(admin ? { lmx: { admin, mayAdminister: () => mayAdminister(config) } } : {}),
    operations: (call) =>
      createOperationHost(
        { call, paths, env: process.env, version, daemon: ofItself(settings, paths, () => stop('operation')) },
        { max: LIMITS.namedOperationsMax, deadlineMs: LIMITS.namedOperationMs },
      ),
    allowedOrigins: config.daemon.allowedOrigins,
    webDir: WEB_DIR,
    webKeys: {
      read: () => readPrivateFile(paths.webKeysFile, LIMITS.webKeysFileCharsMax),
      write: (text) => writePrivateFile(paths.webKeysFile, text),
    },
    log,
  });

  const purge = (): void => {
    sweepVersions(versionsDir);
    purgeSessions();
  };
  const purgeSessions = (): void =>
    system.purge((error, purged) => {
      if (error) log.warn('deleted sessions could not be purged', { reason: error.message });
      else if (purged > 0) log.info('purged deleted sessions', { purged });
    });
  const purging = setInterval(purge, LIMITS.purgeEveryMs);

  // Before the state is there to be read: whoever reads it may send a signal in the same moment.
  stop = onStopSignal(async (signal) => {
    clearInterval(purging);
    log.info('daemon stopping', { signal });
    // First the files: nobody should be sent to a daemon that is on its way out.
    rmSync(paths.stateFile, { force: true });
    rmSync(paths.pidFile, { force: true });
    await new Promise<void>((resolve) => system.stop(resolve));
    admin?.close();
    await closeAll(server, engine, [commits, hooks, tools, ownTools]);
    await new Promise<void>((resolve) => store.close(() => resolve()));
    lock.release();
    log.info('daemon stopped');
    log.flush();
  });

  writePrivateFile(paths.tokenFile, token);
  writePrivateFile(paths.observerTokenFile, observerToken);
  writePrivateFile(paths.pidFile, String(process.pid));
  const state = {
    pid: process.pid,
    daemonId,
    host,
    port: server.port,
    token,
    startedAt: new Date().toISOString(),
    logsPath: paths.logFile,
    observerToken,
    processStarted: ownIdentity().started,
    hostname: hostname(),
  };
  writePrivateFile(paths.stateFile, `${JSON.stringify(state, null, 2)}\n`);
  log.info('daemon ready', { pid: process.pid, port: server.port, version, engine: config.engine });
  purge();
};

/** [TL5] Our own folders hold tokens and the log; no command sees them. */
const sandboxOf = ({ sandbox }: Config, paths: OptaPaths): Sandbox =>
  findSandbox({ ...sandbox, home: homedir(), own: [paths.configDir, paths.daemonDir, paths.dataDir] });

const CONFINED =
  'Commands run in a sandbox: they can write in the workspace and in /tmp, home folders are hidden, and there is no network unless a call asks for it.';

/** The bounds that a person may set, in place of those of `limits.ts`. */
const limitsOf = ({ connection, permissions, safety, daemon, background, model }: Config): Limits => ({
  ...LIMITS,
  firstDeltaDeadlineMs: connection.inferenceTimeout,
  streamRetriesMax: connection.retry.maxRetries,
  streamRetryBaseMs: connection.retry.backoffMs,
  permissionDeadlineMs: permissions.deadlineMs,
  turnParallelMax: safety.maxParallelTools,
  contextTokensMax: model.contextLimit,
  contextCompactPercent: Math.round(Math.min(0.95, Math.max(0.2, safety.compactAt)) * 100),
  diskFreeBytesMin: safety.diskHeadroomMb * (1 << 20),
  sessionsLiveMax: daemon.maxSessions,
  toolJobsMax: daemon.workerPoolSize,
  backgroundSessionMax: background.maxConcurrent,
  backgroundTimeoutMs: background.defaultTimeout,
  backgroundOutputCharsMax: background.maxBufferSize,
});

/** For people and their programs, or for whoever only looks on. */
const newToken = (): string => randomBytes(24).toString('hex');

/** Files that a library makes are for their owner alone, like our own; those that tools make later are not concerned ([AC1]). */
const privately = <T>(make: () => T): T => {
  const before = process.umask(0o077);
  try {
    return make();
  } finally {
    process.umask(before);
  }
};

/** For `opta doctor`: what would carry the planes, and whether the configured engine answers. Takes no lock and writes nothing. */
const selfCheck = async (settings: Resolved): Promise<SelfCheck> => {
  const { config } = settings;
  const { name: adapter, why } = chooseTransport(config.daemon.transport);
  const stored = await keychainKey(settings, () => undefined);
  const inference = await checkInference(engineOf(settings, stored), config.model.default);
  const { kind, why: held } = sandboxOf(config, optaPaths());
  return { transport: { adapter, why }, sandbox: { kind, why: held }, inference };
};

/** What the named operations ask of the daemon. The CLI's part is loaded when it is asked for. */
const ofItself = (settings: Resolved, paths: OptaPaths, stop: () => void): DaemonSelf => ({
  stop,
  selfCheck: () => selfCheck(settings),
  localServers: async () => {
    const { findLocalServers, offerLine } = await import('./cli/local-servers.ts');
    const found = await findLocalServers({ env: process.env, paths });
    return found.map((server) => ({ ...server, offer: offerLine(server) }));
  },
  completions: async (shell) => (await import('./cli/completions/script.ts')).completionScript(shell),
});

const flagsOf = (values: { port?: string; engine?: string; model?: string }): NonNullable<ConfigSources['flags']> => ({
  ...(values.port === undefined ? {} : { daemon: { port: Number(values.port) } }),
  ...(values.engine === undefined ? {} : { engine: values.engine as Config['engine'] }),
  ...(values.model === undefined ? {} : { model: { default: values.model } }),
});

/** [KY3] Asked for only where it is needed; `warn` is told why it could not be read. */
const keychainKey = async (settings: Resolved, warn: (why: string) => void): Promise<string | undefined> =>
  settings.config.engine === 'lmx' && hostKey(settings, 'apiKey') === undefined
    ? keychainKeyAtStart({ paths: optaPaths(), env: process.env, warn })
    : undefined;

const engineOf = (settings: Resolved, stored: string | undefined): EngineConfig => {
  const { config } = settings;
  if (config.engine === 'demo') return { engine: 'demo' };
  const { host, port, trusted, loopbackOnly } = config.connection;
  const [apiKey, adminKey] = [hostKey(settings, 'apiKey') ?? stored, hostKey(settings, 'adminKey')];
  return {
    engine: 'lmx',
    host,
    port,
    loopbackOnly: loopbackOnly ?? false,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(adminKey === undefined ? {} : { adminKey }),
    ...(trusted === undefined ? {} : { trusted }),
    fallbacks: config.connection.fallbackHosts.map((place) => fallbackAt(settings, place)),
  };
};

/** [IC8] Each host has its own key: the one for all is for the configured host alone. */
const fallbackAt = (settings: Resolved, place: string): { host: string; port: number; apiKey?: string } => {
  const [, name = place, own] = /^(.*?)(?::(\d+))?$/.exec(place) ?? [];
  const at = { host: name, port: own === undefined ? settings.config.connection.port : Number(own) };
  const key = keyOfHost(settings, 'apiKey', at);
  return { ...at, ...(key === undefined ? {} : { apiKey: key }) };
};

/** [HP1] Why this machine may not change the models of the inference host, or null when it may. */
const mayAdminister = (config: Config): OptaError | null => {
  try {
    requireRemoteAdmin(hostPolicyOf(config), 'Changing the models of the inference host');
    return null;
  } catch (cause) {
    return toOptaError(cause);
  }
};

const closeAll = async (
  server: Server,
  engine: { close(): void },
  tools: { close(): Promise<void> }[],
): Promise<void> => {
  engine.close();
  await Promise.all([server.close(), ...tools.map((one) => one.close())]);
};

run().catch((cause: unknown) => {
  const error = toOptaError(cause);
  process.stderr.write(`opta daemon: ${error.message} [${error.code}]\n`);
  process.exit(errorRow(error.code).exit);
});
