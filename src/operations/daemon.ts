import { z } from 'zod';
import { readDaemonState } from '../client/daemon-state.ts';
import { OptaError } from '../protocol/errors.ts';
import { lastLines, parseLine } from './daemon-log.ts';
import { daemonRecord } from './daemon-record.ts';
import { daemonSelf, define, nothing, type Operations, type OperationWorld } from './operation.ts';
import { installService, serviceOf, uninstallService } from './service.ts';

const LINES = { standard: 200, most: 2_000 };
/** Read and written at once, while everybody else waits. */
const LOG_BYTES_MAX = 1 << 20;

/** `daemon.*`, of the very daemon that is asked. */
export const DAEMON_OPERATIONS: Operations = {
  'daemon.start': define({
    title: 'Start the daemon',
    description: 'Answers the state of the daemon that runs: this one.',
    safety: 'write',
    input: nothing,
    run: (world) => stateOf(world),
  }),
  'daemon.stop': define({
    title: 'Stop the daemon',
    description: 'Ends this daemon once its answers are out. Sessions are kept; running turns are interrupted.',
    safety: 'write',
    input: nothing,
    run: (world) => {
      const { stop } = daemonSelf(world);
      const { pid, daemonId } = stateOf(world);
      // After this answer is on its way.
      setImmediate(stop);
      return { stopped: true, pid, daemonId };
    },
  }),
  'daemon.status': define({
    title: 'Daemon status',
    description: 'Whether the daemon runs, and where. Its tokens are covered.',
    safety: 'read',
    input: nothing,
    run: (world) => ({ running: true, state: stateOf(world), logsPath: world.paths.logFile }),
  }),
  'daemon.logs': define({
    title: 'Daemon log',
    description: "The end of the daemon's log, one object a line; no more than its last mebibyte.",
    safety: 'read',
    input: z.object({ lines: z.coerce.number().int().min(1).max(LINES.most).default(LINES.standard) }),
    run: ({ paths }, { lines }) => lastLines(paths.logFile, lines, false, LOG_BYTES_MAX).lines.map(parseLine),
  }),
  'daemon.install': define({
    title: 'Install the service',
    description: 'Lets the system start the daemon when you log in.',
    safety: 'dangerous',
    input: nothing,
    run: ({ env, signal }) => installService(serviceOf(env), { running: true, env, signal }),
  }),
  'daemon.uninstall': define({
    title: 'Uninstall the service',
    description: 'Takes the service away again. A daemon that it started ends.',
    safety: 'dangerous',
    input: nothing,
    run: ({ env, signal }) => uninstallService(serviceOf(env), { env, signal }),
  }),
};

const stateOf = ({ paths }: OperationWorld) => {
  const state = readDaemonState(paths.stateFile);
  // Its own file: removed by hand, or the daemon is on its way out.
  if (state === null || state === 'unreadable')
    throw new OptaError('shutting-down', `${paths.stateFile} is gone: the daemon is stopping, or somebody removed it`);
  return daemonRecord(state, '(hidden)');
};
