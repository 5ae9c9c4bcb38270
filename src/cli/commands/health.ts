import { isLoopbackHost } from '../../client/daemon-state.ts';
import { discover } from '../../client/discover.ts';
import { resolveConfig } from '../../config/load.ts';
import { type Check, fail, pass, warn } from '../../operations/doctor-checks.ts';
import { type Context, packageVersion } from '../context.ts';
import { EXIT } from '../exit.ts';
import { colour, oneLine } from '../output.ts';
import { selfCheck } from '../self-check.ts';

/** A probe for scripts: starts nothing, and exits 1 when a check fails. `doctor` looks at everything else. */
export const healthCommand = async (ctx: Context, options: { json?: boolean; skipLmx?: boolean }): Promise<number> => {
  const checks: Check[] = [
    pass('CLI', `version ${packageVersion()}, Node.js ${process.versions.node}`),
    await daemonCheck(ctx),
    ...(options.skipLmx ? [] : [await lmxCheck(ctx)]),
  ];
  const count = (status: Check['status']): number => checks.filter((check) => check.status === status).length;
  const summary = { passed: count('pass'), warnings: count('warn'), failures: count('fail') };
  if (options.json) ctx.output.pretty({ checks, summary });
  else for (const check of checks) ctx.output.out(lineOf(check));
  return summary.failures > 0 ? EXIT.error : EXIT.ok;
};

const MARKS = { pass: colour.green('✓'), warn: colour.yellow('!'), fail: colour.red('✗') } as const;

const lineOf = ({ name, status, message, detail }: Check): string =>
  `${MARKS[status]} ${name.padEnd(6)} ${oneLine(message, 400)}${detail === undefined ? '' : `\n         → ${oneLine(detail, 400)}`}\n`;

/** One that is not there is started by the first command that needs it; one that is there and does not answer is in the way. */
const daemonCheck = async (ctx: Context): Promise<Check> => {
  const name = 'Daemon';
  const found = await discover(ctx.paths.stateFile);
  if (found.kind === 'none') return warn(name, 'not running', 'opta daemon start');
  if (found.kind === 'stale') return warn(name, `not running (${found.reason})`, 'opta daemon start');
  if (found.kind !== 'running') return fail(name, found.reason, 'opta daemon restart');
  const { state, health } = found;
  const message = `${state.host}:${state.port}, pid ${state.pid}, ${health.status}`;
  return health.status === 'ok' ? pass(name, message) : warn(name, message, 'opta daemon logs');
};

/** On this machine an inference server may be off for a good reason: that is a warning, as it was no check at all before. */
const lmxCheck = async (ctx: Context): Promise<Check> => {
  const name = 'LMX';
  try {
    const { host, port } = resolveConfig({ env: ctx.env, file: ctx.paths.configFile }).config.connection;
    const { ok, place, message } = (await selfCheck(ctx)).inference;
    if (ok) return pass(name, `${place}: ${message}`);
    return (isLoopbackHost(host) ? warn : fail)(name, `${host}:${port}: ${message}`, 'opta doctor');
  } catch (cause) {
    return fail(name, (cause as Error).message, 'opta doctor');
  }
};
