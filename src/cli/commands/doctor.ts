import { execFile } from 'node:child_process';
import { discover } from '../../client/discover.ts';
import { hostPolicyOf, mayHostInference } from '../../config/host-policy.ts';
import { type Resolved, resolveConfig } from '../../config/load.ts';
import { OptaError } from '../../protocol/errors.ts';
import { type Context, packageVersion } from '../context.ts';
import { daemonLauncher } from '../daemon-process.ts';
import { type Check, configChecks, fail, machineChecks, pass, policyCheck, warn } from '../doctor-checks.ts';
import { EXIT } from '../exit.ts';
import { findLocalServers, offerLine } from '../local-servers.ts';
import { colour, oneLine } from '../output.ts';

/** `doctor` reports, and exits 0 as scripts expect of it; with `--exit-code`, 1 when something failed. */
export const doctorCommand = async (
  ctx: Context,
  options: { json?: boolean; format: string; exitCode?: boolean },
): Promise<number> => {
  const checks = await allChecks(ctx);
  const count = (status: Check['status']): number => checks.filter((check) => check.status === status).length;
  const summary = { passed: count('pass'), warnings: count('warn'), failures: count('fail') };
  if (options.json || options.format === 'json') ctx.output.pretty({ version: packageVersion(), checks, summary });
  else {
    for (const check of checks) ctx.output.out(lineOf(check));
    const { passed, warnings, failures } = summary;
    const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
    ctx.output.out(`\n${passed} passed, ${counted(warnings, 'warning')}, ${counted(failures, 'failure')}\n`);
  }
  return options.exitCode && summary.failures > 0 ? EXIT.error : EXIT.ok;
};

const MARKS = { pass: colour.green('✓'), warn: colour.yellow('!'), fail: colour.red('✗') } as const;

const lineOf = ({ name, status, message, detail }: Check): string =>
  `${MARKS[status]} ${name.padEnd(17)} ${oneLine(message, 400)}\n${detail === undefined ? '' : `${' '.repeat(20)}→ ${oneLine(detail, 400)}\n`}`;

const allChecks = async (ctx: Context): Promise<Check[]> => {
  const machine = machineChecks(ctx);
  const daemon = await daemonCheck(ctx);
  let settings: Resolved;
  try {
    settings = resolveConfig({ env: ctx.env, file: ctx.paths.configFile, workspace: ctx.cwd });
  } catch (cause) {
    const detail = 'correct it by hand; what needs it is not checked';
    return [...machine, fail('Config', (cause as Error).message, detail), daemon];
  }
  const policy = hostPolicyOf(settings.config, ctx.env);
  const config = [...configChecks(ctx, settings), policyCheck(policy, settings.config)];
  return [...machine, ...config, daemon, ...(await engineChecks(ctx)), await localCheck(ctx, mayHostInference(policy))];
};

const LATER = 'the first command that needs it starts it';

const daemonCheck = async (ctx: Context): Promise<Check> => {
  const found = await discover(ctx.paths.stateFile);
  const name = 'Daemon';
  if (found.kind === 'none') return pass(name, `not running; ${LATER}`);
  if (found.kind === 'stale') return pass(name, `not running (${found.reason}); ${LATER}`);
  if (found.kind === 'unsafe') return fail(name, found.reason, 'remove the file');
  if (found.kind !== 'running') return fail(name, found.reason, found.advice ?? 'opta daemon restart');
  const { state, health } = found;
  const { adapter } = (health.transport ?? {}) as { adapter?: unknown };
  const message = `${state.host}:${state.port}, pid ${state.pid}, version ${health.version}, ${health.status}, planes over ${adapter ?? '(not said)'}`;
  if (health.version !== packageVersion())
    return warn(name, `${message}; this is ${packageVersion()}`, 'opta daemon restart');
  return health.status === 'ok' ? pass(name, message) : warn(name, message, 'opta daemon logs');
};

/** What the daemon's program says of itself when it is asked without being started: see `--self-check` in src/main.ts. */
interface SelfCheck {
  transport: { adapter: string; why: string };
  inference: { place: string; ok: boolean; message: string; code?: string };
}

const SELF_CHECK_DEADLINE_MS = 15_000;

const selfCheck = (ctx: Context): Promise<SelfCheck> => {
  const { command, args } = ctx.launcher ?? daemonLauncher();
  return new Promise((resolve, reject) => {
    const env = { ...ctx.env } as NodeJS.ProcessEnv;
    execFile(command, [...args, '--self-check'], { env, timeout: SELF_CHECK_DEADLINE_MS }, (error, stdout, stderr) => {
      if (error) return reject(new OptaError('internal', stderr.trim() || error.message));
      resolve(JSON.parse(stdout) as SelfCheck);
    });
  });
};

const engineChecks = async (ctx: Context): Promise<Check[]> => {
  let said: SelfCheck;
  try {
    said = await selfCheck(ctx);
  } catch (cause) {
    return [fail('Transport', `the daemon's program does not run: ${(cause as Error).message}`, 'opta daemon run')];
  }
  const { transport, inference } = said;
  const answer = `${inference.place}: ${inference.message}`;
  return [
    pass('Transport', `${transport.adapter}: ${transport.why}`),
    inference.ok
      ? pass('LMX Connection', answer)
      : fail('LMX Connection', answer, NEXT[inference.code ?? ''] ?? 'opta config explain connection.host'),
  ];
};

const NEXT: { [code: string]: string } = {
  'no-model-loaded': 'load a model there, or choose a loaded one: opta config set model.default NAME',
  'lmx-unauthorized': 'opta config set connection.apiKey KEY',
  'lmx-untrusted': 'opta config set connection.trusted true, if the server is yours',
  'loopback-only': 'OPTA_LOOPBACK_ONLY is set: opta config set connection.host 127.0.0.1',
};

const localCheck = async (ctx: Context, mayHost: boolean): Promise<Check> => {
  const name = 'LMX Discovery';
  if (!mayHost) return pass(name, 'not looked for on this machine: the host policy makes it client-only');
  const found = await findLocalServers(ctx);
  const [first] = found;
  if (first === undefined) return pass(name, 'no other inference server answers on this machine');
  return { ...pass(name, found.map((s) => `${s.name} at 127.0.0.1:${s.port}`).join(', ')), detail: offerLine(first) };
};
