import type { Discovery } from '../client/discover.ts';
import { discover } from '../client/discover.ts';
import { hostPolicyOf, mayHostInference } from '../config/host-policy.ts';
import { type Resolved, resolveConfig } from '../config/load.ts';
import type { Env, OptaPaths } from '../config/paths.ts';
import { type Check, configChecks, fail, machineChecks, pass, policyCheck, warn } from './doctor-checks.ts';
import { gitCheck, mcpCheck, modelCheck, toolsCheck } from './doctor-tools.ts';
import type { OfferedServer, SelfCheck } from './operation.ts';

export type { Check } from './doctor-checks.ts';

export interface DoctorWorld {
  paths: OptaPaths;
  env: Env;
  version: string;
  /** The folder whose project file and repository count; a daemon that is not told one looks at neither. */
  workspace?: string | undefined;
  selfCheck(): Promise<SelfCheck>;
  localServers(): Promise<OfferedServer[]>;
  /** What is said of the terminal, where there may be one. */
  terminal?: Check;
}

export interface Report {
  version: string;
  checks: Check[];
  summary: { passed: number; warnings: number; failures: number };
}

export const examine = async (world: DoctorWorld): Promise<Report> => {
  const checks = await allChecks(world);
  const count = (status: Check['status']): number => checks.filter((check) => check.status === status).length;
  const summary = { passed: count('pass'), warnings: count('warn'), failures: count('fail') };
  return { version: world.version, checks, summary };
};

const allChecks = async (world: DoctorWorld): Promise<Check[]> => {
  const { paths, env, workspace, terminal } = world;
  const found = await discover(paths.stateFile);
  const machine = [
    ...machineChecks(paths),
    ...(terminal ? [terminal] : []),
    await toolsCheck(env),
    ...(workspace === undefined ? [] : [await gitCheck(workspace, env)]),
  ];
  const daemon = [daemonCheck(found, world.version), sessionsCheck(found)];
  let settings: Resolved;
  try {
    settings = resolveConfig({ env, file: paths.configFile, ...(workspace === undefined ? {} : { workspace }) });
  } catch (cause) {
    const detail = 'correct it by hand; what needs it is not checked';
    return [...machine, fail('Config', (cause as Error).message, detail), ...daemon];
  }
  const policy = hostPolicyOf(settings.config, env);
  return [
    ...machine,
    ...configChecks(paths, settings),
    policyCheck(policy, settings.config),
    mcpCheck(settings.config, env),
    ...daemon,
    ...(await engineChecks(world, settings)),
    await localCheck(world, mayHostInference(policy)),
  ];
};

const LATER = 'the first command that needs it starts it';

const daemonCheck = (found: Discovery, version: string): Check => {
  const name = 'Daemon';
  if (found.kind === 'none') return pass(name, `not running; ${LATER}`);
  if (found.kind === 'stale') return pass(name, `not running (${found.reason}); ${LATER}`);
  if (found.kind === 'unsafe') return fail(name, found.reason, 'remove the file');
  if (found.kind !== 'running') return fail(name, found.reason, found.advice ?? 'opta daemon restart');
  const { state, health } = found;
  const { adapter } = (health.transport ?? {}) as { adapter?: unknown };
  const message = `${state.host}:${state.port}, pid ${state.pid}, version ${health.version}, ${health.status}, planes over ${adapter ?? '(not said)'}`;
  if (health.version !== version) return warn(name, `${message}; this is ${version}`, 'opta daemon restart');
  return health.status === 'ok' ? pass(name, message) : warn(name, message, 'opta daemon logs');
};

/** What only a running daemon knows: nobody else may open its store. */
const sessionsCheck = (found: Discovery): Check => {
  const name = 'Sessions';
  if (found.kind !== 'running') return pass(name, 'not looked at: no daemon has them open');
  const { quarantined, runtime } = found.health as { quarantined?: { sessionId: string }[]; runtime?: unknown };
  const { sessionCount, activeTurnCount } = (runtime ?? {}) as { [name: string]: unknown };
  const message = `${sessionCount ?? '?'} live, ${activeTurnCount ?? '?'} turns running`;
  const broken = (Array.isArray(quarantined) ? quarantined : []).map((row) => row.sessionId);
  if (broken.length === 0) return pass(name, message);
  return warn(name, `${message}; set aside, since their log cannot be read: ${broken.join(', ')}`, 'opta daemon logs');
};

const engineChecks = async (world: DoctorWorld, settings: Resolved): Promise<Check[]> => {
  let said: SelfCheck;
  try {
    said = await world.selfCheck();
  } catch (cause) {
    return [fail('Transport', `the daemon's program does not run: ${(cause as Error).message}`, 'opta daemon run')];
  }
  const { transport, sandbox, inference } = said;
  const answer = `${inference.place}: ${inference.message}`;
  return [
    pass('Transport', `${transport.adapter}: ${transport.why}`),
    sandbox.kind === 'none'
      ? warn('Sandbox', `unconfined (${sandbox.why}): every command of the model is asked about`, CONFINE)
      : pass('Sandbox', `commands are confined by ${sandbox.why}; processes that you start yourself run as you do`),
    inference.ok
      ? pass('LMX Connection', answer)
      : fail('LMX Connection', answer, NEXT[inference.code ?? ''] ?? 'opta config explain connection.host'),
    modelCheck(settings, inference),
  ];
};

const CONFINE = 'install bubblewrap (bwrap), or see docs/TOOLS.md';

const NEXT: { [code: string]: string } = {
  'no-model-loaded': 'load a model there, or choose a loaded one: opta config set model.default NAME',
  'lmx-unauthorized': 'opta config set connection.apiKey KEY',
  'lmx-untrusted': 'opta config set connection.trusted true, if the server is yours',
  'loopback-only': 'OPTA_LOOPBACK_ONLY is set: opta config set connection.host 127.0.0.1',
};

const localCheck = async (world: DoctorWorld, mayHost: boolean): Promise<Check> => {
  const name = 'LMX Discovery';
  if (!mayHost) return pass(name, 'not looked for on this machine: the host policy makes it client-only');
  const found = await world.localServers();
  const [first] = found;
  if (first === undefined) return pass(name, 'no other inference server answers on this machine');
  return { ...pass(name, found.map((s) => `${s.name} at 127.0.0.1:${s.port}`).join(', ')), detail: first.offer };
};
