import { join } from 'node:path';
import { Connection } from '../http.ts';
import { type Running, startScript, usageOf } from '../processes.ts';
import { openSocket } from '../sockets.ts';
import { type Figure, figure } from '../stats.ts';
import type { World } from '../world.ts';

const SOCKETS = 100;
const PAYLOAD_BYTES = 200;
/** A frame of this length has a head of four bytes. */
const FRAME_BYTES = PAYLOAD_BYTES + 4;
const DEADLINE_MS = 60_000;
const PACES = [
  { perTurn: 1, frames: 1_000 },
  { perTurn: 10, frames: 4_000 },
] as const;

interface Run {
  framesPerS: number;
  framesPerCpuS: number;
}

const oneRun = async (
  server: Running & { port: number },
  { perTurn, frames }: (typeof PACES)[number],
): Promise<Run> => {
  const { port } = server;
  const open = (): ReturnType<typeof openSocket> => openSocket({ port, path: '/', keep: false });
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, open));
  const http = new Connection(port, undefined);
  const before = usageOf(server.pid);
  const startedAt = performance.now();
  const all = Promise.all(sockets.map((socket) => socket.untilBytes(frames * FRAME_BYTES, DEADLINE_MS)));
  await http.request('POST', `/${frames}/${perTurn}/${PAYLOAD_BYTES}`, '');
  await all;
  const tookS = (performance.now() - startedAt) / 1000;
  const cpuS = usageOf(server.pid).cpuS - before.cpuS;
  http.close();
  for (const socket of sockets) {
    if (socket.bytes !== frames * FRAME_BYTES) throw new Error(`${socket.bytes} bytes arrived of ${frames} frames`);
    socket.close();
  }
  return { framesPerS: (frames * SOCKETS) / tookS, framesPerCpuS: (frames * SOCKETS) / cpuS };
};

/** Both adapters in turn, and the library of the second without what its adapter does. */
export const adapters = async (world: World): Promise<void> => {
  const dist = join(world.app, 'dist');
  const servers = {
    ws: await startScript('fan-out.mjs', [dist, 'ws']),
    uws: await startScript('fan-out.mjs', [dist, 'uws']),
    send: await startScript('fan-out.mjs', [dist, 'send']),
  };
  for (const pace of PACES) {
    const runs: { [name in keyof typeof servers]: Run[] } = { ws: [], uws: [], send: [] };
    // The first round is not counted: code that was never run is compiled in it.
    for (let i = 0; i <= world.reps; i++) {
      for (const name of ['ws', 'uws', 'send'] as const) {
        const run = await oneRun(servers[name], pace);
        if (i > 0) runs[name].push(run);
      }
    }
    const of = (name: keyof typeof runs, value: keyof Run): Figure => figure(runs[name].map((run) => run[value]));
    const what = `${pace.perTurn} frame${pace.perTurn > 1 ? 's' : ''} of ${PAYLOAD_BYTES} bytes a turn to ${SOCKETS} sockets`;
    for (const [value, unit] of [
      ['framesPerS', 'frames/s'],
      ['framesPerCpuS', 'frames per CPU second'],
    ] as const) {
      const shared = { case: 'j', unit: '', peer: of('uws', value), peerName: 'uws adapter' };
      world.add({ ...shared, what: `${what}: ws adapter, ${unit}`, ours: of('ws', value) });
      world.add({ ...shared, what: `${what}: ws, a send for each, ${unit}`, ours: of('send', value) });
    }
  }
  for (const server of Object.values(servers)) await server.end();
};
