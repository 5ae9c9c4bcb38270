import { execFile } from 'node:child_process';
import { isLoopbackHost } from '../../client/daemon-state.ts';
import { discover } from '../../client/discover.ts';
import { resolveConfig } from '../../config/load.ts';
import { type Context, packageVersion } from '../context.ts';
import { daemonLauncher } from '../daemon-process.ts';
import { EXIT } from '../exit.ts';
import { colour, oneLine } from '../output.ts';

/** One line of `health`. */
interface Check {
  name: 'CLI' | 'Daemon' | 'LMX';
  status: 'pass' | 'warn' | 'fail';
  message: string;
  detail?: string;
}

/** A probe for scripts: starts nothing, and exits 1 when a check fails. `doctor` looks at everything else. */
export const healthCommand = async (ctx: Context, options: { json?: boolean; skipLmx?: boolean }): Promise<number> => {
  const checks: Check[] = [
    { name: 'CLI', status: 'pass', message: `version ${packageVersion()}, Node.js ${process.versions.node}` },
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
  const found = await discover(ctx.paths.stateFile);
  if (found.kind === 'none' || found.kind === 'stale') {
    const why = found.kind === 'stale' ? ` (${found.reason})` : '';
    return { name: 'Daemon', status: 'warn', message: `not running${why}`, detail: 'opta daemon start' };
  }
  if (found.kind !== 'running')
    return { name: 'Daemon', status: 'fail', message: found.reason, detail: 'opta daemon restart' };
  const { state, health } = found;
  const message = `${state.host}:${state.port}, pid ${state.pid}, ${health.status}`;
  if (health.status === 'ok') return { name: 'Daemon', status: 'pass', message };
  return { name: 'Daemon', status: 'warn', message, detail: 'opta daemon logs' };
};

/** On this machine an inference server may be off for a good reason: that is a warning, as it was no check at all before. */
const lmxCheck = async (ctx: Context): Promise<Check> => {
  const name = 'LMX';
  try {
    const { host, port } = resolveConfig({ env: ctx.env, file: ctx.paths.configFile }).config.connection;
    const { ok, place, message } = await selfCheck(ctx);
    if (ok) return { name, status: 'pass', message: `${place}: ${message}` };
    const status = isLoopbackHost(host) ? 'warn' : 'fail';
    return { name, status, message: `${host}:${port}: ${message}`, detail: 'opta doctor' };
  } catch (cause) {
    return { name, status: 'fail', message: (cause as Error).message, detail: 'opta doctor' };
  }
};

interface SelfCheck {
  inference: { place: string; ok: boolean; message: string };
}

const SELF_CHECK_MS = 15_000;

/** The daemon's own program asks the configured host by the daemon's rules, without being started as a daemon. */
const selfCheck = (ctx: Context): Promise<SelfCheck['inference']> => {
  const { command, args } = ctx.launcher ?? daemonLauncher();
  const env = { ...ctx.env } as NodeJS.ProcessEnv;
  return new Promise((resolve, reject) => {
    execFile(command, [...args, '--self-check'], { env, timeout: SELF_CHECK_MS }, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr.trim() || error.message));
      else resolve((JSON.parse(stdout) as SelfCheck).inference);
    });
  });
};
