import { isLoopbackHost } from '../../client/daemon-state.ts';
import { discover } from '../../client/discover.ts';
import { editFile } from '../../config/edit.ts';
import { hostPolicyOf, mayHostInference } from '../../config/host-policy.ts';
import { setAt } from '../../config/layer.ts';
import { resolveConfig, type SourceKind } from '../../config/load.ts';
import { question } from '../ask.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { answering, type FoundServer, LOCAL_SERVERS, type LocalServer } from '../local-servers.ts';
import { type Device, parseDevice } from '../options.ts';
import { canAsk, oneLine, printable } from '../output.ts';
import { sayIfRunning } from '../running.ts';
import { importOnce } from '../settings.ts';

/** What the first steps start from. Nothing but loopback is contacted to find it out. */
interface Seen {
  configured: {
    host: string;
    port: number;
    model: string;
    source: SourceKind;
    /** null: not asked, since it is another machine. */
    answers: boolean | null;
  };
  daemon: 'running' | 'not running';
  found: FoundServer[];
  missing: LocalServer[];
  /** Whether this machine may run inference at all; else none is looked for ([HP1]). */
  mayHost: boolean;
}

/** Keys to their new values. */
type Wanted = { [key: string]: string | number };

/** Says what is there and what to type next. At a terminal it asks, and writes only after a yes. */
export const onboardCommand = async (ctx: Context, options: { json?: boolean }): Promise<number> => {
  try {
    await importOnce(ctx);
    const seen = await look(ctx);
    const interactive = !options.json && canAsk(ctx.env);
    if (!options.json) ctx.output.out(`${report(seen)}\n`);
    const applied = interactive ? await dialogue(ctx, seen) : {};
    const next = nextStep(seen, applied);
    if (options.json) ctx.output.pretty({ interactive, ...seen, applied, next });
    else ctx.output.out(`Next: ${next}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const look = async (ctx: Context): Promise<Seen> => {
  const { config, sourceOf } = resolveConfig({ env: ctx.env, file: ctx.paths.configFile });
  const { host, port } = config.connection;
  const mayHost = mayHostInference(hostPolicyOf(config, ctx.env));
  const here = isLoopbackHost(host);
  const own: LocalServer = { name: 'configured', port };
  const others = mayHost ? (ctx.localServers ?? LOCAL_SERVERS).filter((s) => !here || s.port !== port) : [];
  const [answers, found, daemon] = await Promise.all([
    here ? answering([own]) : null,
    answering(others),
    discover(ctx.paths.stateFile),
  ]);
  return {
    configured: {
      host,
      port,
      model: config.model.default,
      source: sourceOf('connection.host').kind,
      answers: answers === null ? null : answers.length > 0,
    },
    daemon: daemon.kind === 'running' || daemon.kind === 'unresponsive' ? 'running' : 'not running',
    found,
    missing: others.filter(({ port }) => !found.some((server) => server.port === port)),
    mayHost,
  };
};

const ANSWERS = (answers: boolean | null): string =>
  answers === null ? 'another machine; to ask it: opta doctor' : answers ? 'answers' : 'does not answer';

const report = ({ configured, daemon, found, missing, mayHost }: Seen): string => {
  const { host, port, model, source, answers } = configured;
  const lines = [
    `Inference host   ${host}:${port} (${source}): ${ANSWERS(answers)}`,
    `Default model    ${model || "the server's own choice"}`,
    `Daemon           ${daemon}`,
  ];
  if (!mayHost) lines.push('On this machine  not looked for: the host policy makes it client-only');
  for (const server of found) lines.push(`On this machine  ${nameOf(server)}: ${modelsOf(server)}`);
  if (missing.length > 0)
    lines.push(`Not found        ${missing.map((s) => `${s.name} (127.0.0.1:${s.port})`).join(', ')}`);
  return lines.join('\n');
};

const nameOf = ({ name, port }: LocalServer): string => `${name} at 127.0.0.1:${port}`;
const modelsOf = ({ models }: FoundServer): string => oneLine(models.join(', '), 120) || 'no model loaded';

const nextStep = ({ configured, daemon, found, mayHost }: Seen, applied: Wanted): string => {
  const task = 'opta do "Say hello"';
  if (Object.keys(applied).length > 0) return daemon === 'running' ? `opta daemon restart && ${task}` : task;
  const [first] = found;
  if (configured.answers === true) return task;
  if (first !== undefined && (configured.answers === false || configured.source === 'default')) {
    const restart = daemon === 'running' ? ' && opta daemon restart' : '';
    return `opta config set connection.host 127.0.0.1 && opta config set connection.port ${first.port}${restart} && ${task}`;
  }
  // Nothing answers and nothing was found: then a server is what is missing.
  return configured.answers === false && mayHost ? 'opta lmx serve --model FILE.gguf' : 'opta doctor';
};

/** Resolves with what was written. */
const dialogue = async (ctx: Context, seen: Seen): Promise<Wanted> => {
  const server = await chooseServer(ctx, seen);
  if (server === null) return {};
  const wanted: Wanted = { 'connection.host': server.host, ...(server.port ? { 'connection.port': server.port } : {}) };
  const model = await chooseModel(ctx, server.models ?? []);
  if (model !== undefined) wanted['model.default'] = model;
  for (const [key, value] of Object.entries(wanted))
    ctx.output.err(`  ${key.padEnd(16)} ${printable(String(value))}\n`);
  const yes = (await question(`Write this to ${ctx.paths.configFile}? [y/N] `)) ?? '';
  if (!/^y(es)?$/i.test(yes.trim())) {
    ctx.output.err('Nothing was changed\n');
    return {};
  }
  await editFile(ctx.paths, ctx.env, (layer) => {
    for (const [key, value] of Object.entries(wanted)) setAt(layer, key.split('.'), value);
  });
  await sayIfRunning(ctx);
  return wanted;
};

/** null: it stays as it is. */
const chooseServer = async (
  ctx: Context,
  { configured, found }: Seen,
): Promise<(Device & { models?: string[] }) | null> => {
  for (const [i, server] of found.entries()) ctx.output.err(`  ${i + 1}  ${nameOf(server)}\n`);
  const numbers = found.length === 0 ? '' : `a number, `;
  const keep = `${configured.host}:${configured.port}`;
  for (;;) {
    const said = ((await question(`Inference host: ${numbers}host or host:port (empty: keep ${keep}) `)) ?? '').trim();
    if (said === '') return null;
    const server = /^\d{1,2}$/.test(said) ? found[Number(said) - 1] : undefined;
    if (server !== undefined) return { host: '127.0.0.1', port: server.port, models: server.models };
    try {
      if (!/^\d{1,2}$/.test(said)) return parseDevice(said);
      ctx.output.err('  there is no such number\n');
    } catch (cause) {
      if (!(cause instanceof UsageError)) throw cause;
      ctx.output.err(`  ${cause.message}\n`);
    }
  }
};

const MODELS_MAX = 20;

const chooseModel = async (ctx: Context, models: readonly string[]): Promise<string | undefined> => {
  if (models.length === 0) return undefined;
  const shown = models.slice(0, MODELS_MAX);
  for (const [i, model] of shown.entries()) ctx.output.err(`  ${i + 1}  ${oneLine(model)}\n`);
  const said = ((await question("Default model: a number (empty: the server's own choice) ")) ?? '').trim();
  return /^\d{1,2}$/.test(said) ? shown[Number(said) - 1] : undefined;
};
