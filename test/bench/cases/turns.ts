import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUSY_CALLS, BUSY_STEPS, busyWorkspace } from '../../support/busy-turn.ts';
import { startFakeLmx } from '../../support/fake-lmx.ts';
import { type Daemon, startDaemon, stopDaemon, usageOf } from '../processes.ts';
import { type BenchSocket, openSocket } from '../sockets.ts';
import { figure, quantile } from '../stats.ts';
import { connectionsTo, probingHealth, type World } from '../world.ts';

/** Turns at once, each in a workspace of its own. */
const TURNS = 100;
const DEADLINE_MS = 180_000;
const HEALTH_EVERY_MS = 5;
const REPS = 3;

const workspacesIn = (root: string): string[] =>
  Array.from({ length: TURNS }, (_, i) => busyWorkspace(join(root, `w${i}`), i));

const crowd = async (daemon: Daemon, workspaces: readonly string[]) => {
  const [http] = connectionsTo(daemon.port, daemon.token, 1);
  if (!http) throw new Error('no connection');
  const post = async (path: string, body: object, status: number) => {
    const reply = await http.request('POST', path, JSON.stringify(body));
    if (reply.status !== status) throw new Error(`${path}: ${reply.status} ${reply.body}`);
    return JSON.parse(reply.body);
  };
  const { port, token } = daemon;
  const sockets: BenchSocket[] = [];
  const ids: string[] = [];
  for (const workspace of workspaces) {
    const { sessionId } = await post('/v3/sessions', { metadata: { workspace } }, 201);
    ids.push(sessionId);
    sockets.push(await openSocket({ port, token, path: `/v3/ws?sessionId=${sessionId}&afterSeq=0` }));
  }
  const before = usageOf(daemon.process.pid);
  const startedAt = performance.now();
  const turn = { clientId: 'bench', writerId: 'bench', content: 'go', mode: 'do', overrides: { dangerous: true } };
  const { tookMs } = await probingHealth(daemon, HEALTH_EVERY_MS, async () => {
    const ended = Promise.all(sockets.map((socket) => socket.until('"event":"turn.done"', DEADLINE_MS)));
    for (const id of ids) await post(`/v3/sessions/${id}/turns`, turn, 202);
    await ended;
  });
  const wallS = (performance.now() - startedAt) / 1_000;
  const after = usageOf(daemon.process.pid);
  for (const socket of sockets) socket.close();
  http.close();
  return {
    wallS,
    healthP50Ms: quantile(tookMs, 0.5),
    healthP99Ms: quantile(tookMs, 0.99),
    healthMaxMs: Math.max(...tookMs),
    cpuS: after.cpuS - before.cpuS,
    rssMb: after.rssMb,
  };
};

/** The model answers at once, so what is measured is the daemon, its tools and its commands. */
export const toolTurns = async (world: World): Promise<void> => {
  const lmx = await startFakeLmx({ reply: () => ({ steps: BUSY_STEPS, text: 'done' }) as never });
  const root = mkdtempSync(join(tmpdir(), 'opta-bench-turns-'));
  const runs: Awaited<ReturnType<typeof crowd>>[] = [];
  try {
    for (let i = 0; i < Math.min(REPS, world.reps); i++) {
      const daemon = await startDaemon({ app: world.app, sourcePort: lmx.port });
      try {
        runs.push(await crowd(daemon, workspacesIn(join(root, String(i)))));
      } finally {
        await stopDaemon(daemon);
      }
    }
  } finally {
    await lmx.close();
    rmSync(root, { recursive: true, force: true });
  }
  const of = (name: keyof (typeof runs)[number]) => figure(runs.map((run) => run[name]));
  const what = `${TURNS} turns at once, ${BUSY_CALLS} calls each:`;
  const p99 = of('healthP99Ms');
  world.add({ case: 'o', what: `${what} wall`, unit: ' s', ours: of('wallS') });
  world.add({ case: 'o', what: `${what} /v3/health p50`, unit: ' ms', ours: of('healthP50Ms') });
  world.add({
    case: 'o',
    what: `${what} /v3/health p99`,
    unit: ' ms',
    ours: p99,
    target: '< 50 ms',
    met: p99.median < 50,
  });
  world.add({ case: 'o', what: `${what} /v3/health max`, unit: ' ms', ours: of('healthMaxMs') });
  world.add({ case: 'o', what: `${what} CPU of the daemon itself`, unit: ' s', ours: of('cpuS') });
  world.add({ case: 'o', what: `${what} RSS after`, unit: ' MB', ours: of('rssMb') });
};
