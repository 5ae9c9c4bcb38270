import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Case, Family, Running, World } from '../case.ts';
import { holds } from '../runner.ts';

const empty = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
const started = (world: World) => world.opta('daemon', 'start');

const LOG = [
  '{"ts":"2026-01-01T00:00:00.000Z","level":"info","msg":"daemon ready","daemonId":"d","pid":1}',
  '{"ts":"2026-01-01T00:00:01.000Z","level":"warn","msg":"slow","daemonId":"d","sessionId":"s","ms":12}',
  'not json at all',
];
const logged = ({ home }: World): void => {
  mkdirSync(join(home, 'daemon'), { mode: 0o700 });
  writeFileSync(join(home, 'daemon', 'daemon.log'), `${LOG.join('\n')}\n`, { mode: 0o600 });
};

const stateOf = ({ home }: World, more: object): void => {
  mkdirSync(join(home, 'daemon'), { mode: 0o700 });
  const state = { daemonId: 'gone', host: '127.0.0.1', port: 9, token: 't', startedAt: '', logsPath: '', ...more };
  writeFileSync(join(home, 'daemon', 'state.json'), JSON.stringify(state), { mode: 0o600 });
};
/** Of a process that has ended: the highest number there is. */
const stale = (world: World): void => stateOf(world, { pid: 4_194_303 });
const unreadable = ({ home }: World): void => {
  mkdirSync(join(home, 'daemon'), { mode: 0o700 });
  writeFileSync(join(home, 'daemon', 'state.json'), '{"pid":', { mode: 0o600 });
};
const otherContract = (world: World) =>
  world.fakeDaemon((fake) => {
    fake.contract = { name: 'opta-daemon-v4', version: 2 };
  });
const mute = (world: World) =>
  world.fakeDaemon((fake) => {
    fake.intercept = (_req, _res, path) => path === '/v3/health';
  });

/** Holds a port as a foreign process does; the case is told which. */
const foreign = { port: 0 };
const foreignProcess = async (world: World): Promise<void> => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  foreign.port = (server.address() as { port: number }).port;
  world.later(() => new Promise((resolve) => server.close(resolve)));
};

const untilReady = async (running: Running, { home }: World): Promise<void> => {
  await holds(() => existsSync(join(home, 'daemon', 'state.json')), 'the daemon to be ready');
  running.child.kill('SIGTERM');
};
const untilFollowed = async (running: Running): Promise<void> => {
  // The last line that is there; what follows takes the signal a moment later.
  await running.said(/not json at all/);
  await new Promise((resolve) => setTimeout(resolve, 300));
  running.child.kill('SIGINT');
};
/** The daemon's own log, which is told elsewhere. */
const ITS_LOG = [[/--- stderr\n[\s\S]*?--- files/, '--- stderr\n<its log>\n--- files']] as const;

const starting: Case[] = [
  empty('start', ['daemon', 'start']),
  empty('start-json', ['daemon', 'start', '--json'], { show: ['daemon/state.json'] }),
  empty('start-json-show-token', ['daemon', 'start', '--json', '--show-token']),
  empty('start-host-port', [
    'daemon',
    'start',
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--engine',
    'demo',
    '--model',
    'm',
  ]),
  empty('start-again', ['daemon', 'start'], { before: started }),
  empty('start-again-json', ['daemon', 'start', '--json'], { before: started }),
  empty('start-again-other-engine', ['daemon', 'start', '--engine', 'demo'], { before: started }),
  empty('start-bad-port', ['daemon', 'start', '--port', 'many']),
  empty('start-bad-port-json', ['daemon', 'start', '--port', '70000', '--json']),
  empty('start-not-loopback', ['daemon', 'start', '--host', '0.0.0.0', '--json']),
  empty('start-lan', ['daemon', 'start', '--lan']),
  empty('start-unknown-option', ['daemon', 'start', '--frobnicate', '--json']),
  empty('start-port-held-by-another-program', [], {
    before: foreignProcess,
    args: () => ['daemon', 'start', '--port', String(foreign.port)],
    stable: [[/--port \d+/, '--port <held>']],
  }),
  empty('start-stale-state', ['daemon', 'start'], { before: stale }),
  empty('start-unreadable-state', ['daemon', 'start'], { before: unreadable }),
  empty('start-broken-settings', ['daemon', 'start', '--json'], {
    before: ({ home }) => writeFileSync(join(home, 'config.json'), '{'),
  }),
  empty('start-other-contract', ['daemon', 'start', '--json'], { before: otherContract }),
  empty('start-mute', ['daemon', 'start', '--json'], { before: mute }),
  empty('run', ['daemon', 'run'], { act: untilReady, stable: ITS_LOG }),
  empty('run-token', ['daemon', 'run', '--token', 'abc']),
  empty('run-lan', ['daemon', 'run', '--lan']),
];

const looking: Case[] = [
  empty('status-none', ['daemon', 'status']),
  empty('status-none-json', ['daemon', 'status', '--json']),
  empty('status-none-exit-code', ['daemon', 'status', '--exit-code']),
  { name: 'status', args: ['daemon', 'status'] },
  { name: 'status-json', args: ['daemon', 'status', '--json'] },
  { name: 'status-show-token', args: ['daemon', 'status', '--show-token'] },
  { name: 'status-json-exit-code', args: ['daemon', 'status', '--json', '--exit-code'] },
  empty('status-stale', ['daemon', 'status', '--json'], { before: stale }),
  empty('status-unreadable', ['daemon', 'status'], { before: unreadable }),
  empty('status-other-contract', ['daemon', 'status', '--json', '--exit-code'], { before: otherContract }),
  empty('status-mute', ['daemon', 'status'], { before: mute }),
  empty('logs-none', ['daemon', 'logs']),
  empty('logs-none-json', ['daemon', 'logs', '--json']),
  empty('logs', ['daemon', 'logs'], { before: logged }),
  empty('logs-json', ['daemon', 'logs', '--json'], { before: logged }),
  empty('logs-lines', ['daemon', 'logs', '--lines', '1'], { before: logged }),
  empty('logs-bad-lines', ['daemon', 'logs', '--lines', 'few', '--json'], { before: logged }),
  empty('logs-follow', ['daemon', 'logs', '--follow', '-n', '2'], { before: logged, act: untilFollowed }),
  empty('logs-json-follow', ['daemon', 'logs', '--json', '--follow'], { before: logged }),
  empty('help', ['daemon', '--help']),
  empty('start-help', ['daemon', 'start', '--help']),
  empty('unknown-command', ['daemon', 'frobnicate']),
  empty('no-command', ['daemon']),
];

const stopping: Case[] = [
  empty('stop-none', ['daemon', 'stop']),
  empty('stop-none-json', ['daemon', 'stop', '--json']),
  empty('stop', ['daemon', 'stop'], { before: started }),
  empty('stop-json', ['daemon', 'stop', '--json'], { before: started }),
  empty('stop-stale', ['daemon', 'stop'], { before: stale }),
  empty('stop-unreadable', ['daemon', 'stop', '--json'], { before: unreadable }),
  empty('stop-not-ours', ['daemon', 'stop', '--json'], { before: otherContract }),
  empty('restart', ['daemon', 'restart'], { before: started }),
  empty('restart-json', ['daemon', 'restart', '--json'], { before: started }),
  empty('restart-none', ['daemon', 'restart', '--json']),
  empty('restart-bad-engine', ['daemon', 'restart', '--engine', 'steam', '--json']),
];

export default { cases: [...starting, ...looking, ...stopping] } satisfies Family;
