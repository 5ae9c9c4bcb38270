import { FrameSplitter, TokenReader } from '../frames.ts';
import { type Connection, overConnections } from '../http.ts';
import { type Daemon, usageOf } from '../processes.ts';
import { type BenchSocket, nowUs, openSocket } from '../sockets.ts';
import { figure, quantile } from '../stats.ts';
import { connectionsTo, createSession, probingHealth, submit, type World, withDaemon } from '../world.ts';

const SESSIONS = 200;
const TOKENS = 200;
const CONNECTIONS = 16;
const DEADLINE_MS = 60_000;
const END = '"event":"turn.done"';
const PROMPT = `bench tokens=${TOKENS} tps=0`;
const HEALTH_EVERY_MS = 2;

const checkTokens = (socket: BenchSocket): void => {
  const frames = new FrameSplitter();
  const tokens = new TokenReader();
  for (const { atUs, bytes } of socket.received) {
    frames.push(bytes, (payload) => tokens.take(payload.toString(), atUs, () => undefined));
  }
  if (tokens.next !== TOKENS) throw new Error(`${tokens.next} tokens of ${TOKENS} arrived`);
};

/** From the first submit until the last of the sockets has its terminal event. */
const flooded = async (
  connections: readonly Connection[],
  sockets: readonly BenchSocket[],
  begin: (connection: Connection, index: number) => Promise<unknown>,
): Promise<number> => {
  const startUs = nowUs();
  const ended = Promise.all(sockets.map((socket) => socket.until(END, DEADLINE_MS)));
  await overConnections(connections, [...sockets.keys()], async (connection, index) => {
    await begin(connection, index);
  });
  const wallMs = (Math.max(...(await ended)) - startUs) / 1000;
  for (const socket of sockets) {
    socket.close();
    checkTokens(socket);
  }
  return wallMs;
};

let serial = 0;

const relayRun = async (world: World, connections: readonly Connection[]): Promise<number> => {
  const run = ++serial;
  const topics = Array.from({ length: SESSIONS }, (_, i) => `r${run}-${i}`);
  const { port } = world.relay;
  const sockets = await Promise.all(topics.map((topic) => openSocket({ port, path: `/${topic}` })));
  return flooded(connections, sockets, (http, i) => http.request('POST', `/run/${topics[i]}`, PROMPT));
};

const ourRun = async (daemon: Daemon, connections: readonly Connection[]) => {
  const ids: string[] = [];
  await overConnections(connections, Array.from({ length: SESSIONS }), async (http) => {
    ids.push(await createSession(http));
  });
  const { port, token } = daemon;
  const open = (id: string) => openSocket({ port, token, path: `/v3/ws?sessionId=${id}&afterSeq=0` });
  const sockets = await Promise.all(ids.map(open));
  await Promise.all(sockets.map((socket) => socket.untilBytes(1, DEADLINE_MS)));
  const before = usageOf(daemon.process.pid);
  const { result: wallMs, tookMs } = await probingHealth(daemon, HEALTH_EVERY_MS, () =>
    flooded(connections, sockets, (http, i) => submit(http, ids[i] as string, PROMPT)),
  );
  const after = usageOf(daemon.process.pid);
  return {
    wallMs,
    healthP99Ms: quantile(tookMs, 0.99),
    healthMaxMs: Math.max(...tookMs),
    cpuS: after.cpuS - before.cpuS,
    rssMb: after.rssMb,
  };
};

export const manySessions = (world: World): Promise<void> =>
  withDaemon(world, async (daemon) => {
    const toRelay = connectionsTo(world.relay.port, undefined, CONNECTIONS);
    const toUs = connectionsTo(daemon.port, daemon.token, CONNECTIONS);
    await relayRun(world, toRelay);
    await ourRun(daemon, toUs);
    const relay: number[] = [];
    const ours: Awaited<ReturnType<typeof ourRun>>[] = [];
    for (let i = 0; i < world.reps; i++) {
      relay.push(await relayRun(world, toRelay));
      ours.push(await ourRun(daemon, toUs));
    }
    for (const connection of [...toRelay, ...toUs]) connection.close();
    const of = (name: keyof (typeof ours)[number]) => figure(ours.map((run) => run[name]));
    const what = `${SESSIONS} sessions × ${TOKENS} tokens flooded:`;
    const wall = of('wallMs');
    const health = of('healthP99Ms');
    world.add({
      case: 'c',
      what: `${what} wall`,
      unit: ' ms',
      ours: wall,
      peer: figure(relay),
      target: '≤ 1 s',
      met: wall.median <= 1000,
    });
    world.add({
      case: 'c',
      what: `${what} /v3/health p99`,
      unit: ' ms',
      ours: health,
      target: '≤ 20 ms',
      met: health.median <= 20,
    });
    world.add({ case: 'c', what: `${what} /v3/health max`, unit: ' ms', ours: of('healthMaxMs') });
    world.add({ case: 'c', what: `${what} CPU`, unit: ' s', ours: of('cpuS') });
    world.add({ case: 'c', what: `${what} RSS after`, unit: ' MB', ours: of('rssMb') });
  });
