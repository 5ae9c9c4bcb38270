import { Connection } from '../http.ts';
import type { Daemon } from '../processes.ts';
import { nowUs, openSocket } from '../sockets.ts';
import { figure, quantile } from '../stats.ts';
import { createSession, submit, type World, withDaemon } from '../world.ts';

const CANCELS = 40;
const DEADLINE_MS = 10_000;
const RUNNING_BYTES = 4_000;

/** From the cancel's last byte written to the terminal event received, in milliseconds. */
const once = async (daemon: Daemon, http: Connection): Promise<number> => {
  const { port, token } = daemon;
  const id = await createSession(http);
  const socket = await openSocket({ port, token, path: `/v3/ws?sessionId=${id}&afterSeq=0` });
  const turnId = await submit(http, id, 'bench tokens=2000 tps=200');
  await socket.untilBytes(RUNNING_BYTES, DEADLINE_MS);
  const ended = socket.until('"event":"turn.error"', DEADLINE_MS);
  const startUs = nowUs();
  const answer = http.request('POST', `/v3/sessions/${id}/cancel`, JSON.stringify({ turnId }));
  const tookMs = ((await ended) - startUs) / 1000;
  const { status, body } = await answer;
  if (status !== 200 || !JSON.parse(body).cancelledActive) throw new Error(`cancel: ${status} ${body}`);
  socket.close();
  return tookMs;
};

export const cancel = (world: World): Promise<void> =>
  withDaemon(world, async (daemon) => {
    const http = new Connection(daemon.port, daemon.token);
    for (let i = 0; i < 5; i++) await once(daemon, http);
    const p50: number[] = [];
    const p99: number[] = [];
    for (let rep = 0; rep < world.reps; rep++) {
      const tookMs: number[] = [];
      for (let i = 0; i < CANCELS; i++) tookMs.push(await once(daemon, http));
      p50.push(quantile(tookMs, 0.5));
      p99.push(quantile(tookMs, 0.99));
    }
    http.close();
    const [half, most] = [figure(p50), figure(p99)];
    const what = `cancel → terminal event (${CANCELS} each)`;
    world.add({ case: 'h', what: `${what}: p50`, unit: ' ms', ours: half, target: '≤ 1 ms', met: half.median <= 1 });
    world.add({ case: 'h', what: `${what}: p99`, unit: ' ms', ours: most, target: '≤ 5 ms', met: most.median <= 5 });
  });
