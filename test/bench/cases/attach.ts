import { setTimeout as sleep } from 'node:timers/promises';
import { FrameSplitter } from '../frames.ts';
import { type Daemon, removeHome, startDaemon, stopDaemon, tempHome, usageOf } from '../processes.ts';
import { seedEvents } from '../seed.ts';
import { nowUs, openSocket } from '../sockets.ts';
import { figure } from '../stats.ts';
import { probingHealth, type World } from '../world.ts';

const EVENTS = 50_000;
const CLIENTS = 20;
const TAIL = 10;
const SESSION = 'stored';
const DEADLINE_MS = 60_000;
const RSS_EVERY_MS = 10;
const HEALTH_EVERY_MS = 5;

const pathAfter = (afterSeq: number): string => `/v3/ws?sessionId=${SESSION}&afterSeq=${afterSeq}`;

/** Milliseconds from the connect until `bytes` are there. The bytes are those of the checked attach, since replay is byte for byte ([EV3]). */
const attached = async ({ port, token }: Daemon, afterSeq: number, bytes: number): Promise<number> => {
  const startUs = nowUs();
  const socket = await openSocket({ port, token, path: pathAfter(afterSeq), keep: false });
  const endUs = await socket.untilBytes(bytes, DEADLINE_MS);
  socket.close();
  return (endUs - startUs) / 1000;
};

/** Attaches once, reads every frame and checks that the numbers are dense; how many bytes that was. */
const checked = async ({ port, token }: Daemon, afterSeq: number): Promise<number> => {
  const socket = await openSocket({ port, token, path: pathAfter(afterSeq) });
  await socket.until(`"seq":${EVENTS},`, DEADLINE_MS);
  // The marker stands in the middle of the last frame.
  await sleep(200);
  socket.close();
  const frames = new FrameSplitter();
  let seq = afterSeq;
  for (const { bytes } of socket.received) {
    frames.push(bytes, (payload) => {
      const found = Number(/"seq":(\d+)/.exec(payload.toString('latin1', 0, 300))?.[1]);
      if (found !== seq + 1) throw new Error(`seq ${found} came after ${seq}`);
      seq = found;
    });
  }
  if (seq !== EVENTS) throw new Error(`the replay ended at ${seq}`);
  return socket.bytes;
};

/** Highest memory of the daemon while `run` runs, in MB. */
const peakRss = async <T>(daemon: Daemon, run: () => Promise<T>): Promise<{ result: T; rssMb: number }> => {
  let rssMb = 0;
  const look = (): void => {
    rssMb = Math.max(rssMb, usageOf(daemon.process.pid).rssMb);
  };
  const timer = setInterval(look, RSS_EVERY_MS);
  const result = await run();
  clearInterval(timer);
  look();
  return { result, rssMb };
};

const measure = async (world: World, daemon: Daemon): Promise<void> => {
  const bytes = await checked(daemon, 0);
  const tailBytes = await checked(daemon, EVENTS - TAIL);
  const all: number[] = [];
  const tail: number[] = [];
  const crowd: { wallMs: number; blockedMs: number; rssMb: number }[] = [];
  for (let i = 0; i < world.reps; i++) {
    all.push(await attached(daemon, 0, bytes));
    tail.push(await attached(daemon, EVENTS - TAIL, tailBytes));
    const { result, rssMb } = await peakRss(daemon, () =>
      probingHealth(daemon, HEALTH_EVERY_MS, async () => {
        const startUs = nowUs();
        await Promise.all(Array.from({ length: CLIENTS }, () => attached(daemon, 0, bytes)));
        return (nowUs() - startUs) / 1000;
      }),
    );
    crowd.push({ wallMs: result.result, blockedMs: Math.max(...result.tookMs), rssMb });
  }
  const row = (what: string, unit: string, ours: ReturnType<typeof figure>, max: number): void =>
    world.add({
      case: 'd',
      what: `${what} (${(bytes / 1e6).toFixed(1)} MB)`,
      unit,
      ours,
      target: `≤ ${max}${unit}`,
      met: ours.median <= max,
    });
  row('attach to 50,000 stored events, all', ' ms', figure(all), 90);
  row(`the same, last ${TAIL}`, ' ms', figure(tail), 3);
  row(`${CLIENTS} attach to 50,000 at once: wall`, ' ms', figure(crowd.map((c) => c.wallMs)), 1_000);
  row(`${CLIENTS} at once: /v3/health longest`, ' ms', figure(crowd.map((c) => c.blockedMs)), 50);
  row(`${CLIENTS} at once: RSS peak`, ' MB', figure(crowd.map((c) => c.rssMb)), 150);
};

export const attach = async (world: World): Promise<void> => {
  const home = tempHome();
  await seedEvents(home, SESSION, EVENTS);
  const daemon = await startDaemon({ app: world.app, sourcePort: world.source.port, home });
  try {
    await measure(world, daemon);
  } finally {
    await stopDaemon(daemon);
    removeHome(home);
  }
};
