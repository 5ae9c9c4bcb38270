import { type ClientRequest, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { type Running, removeHome, start, tempHome } from '../processes.ts';
import { nowUs } from '../sockets.ts';
import { figure, quantile } from '../stats.ts';
import type { World } from '../world.ts';

const ASKS = 200;
const STREAMS = 100;
const TPS = 100;
const SECONDS = 4;

/** `opta lmx serve` before the token source, on a port of its own. */
const withGateway = async <T>(world: World, run: (port: number, gateway: Running) => Promise<T>): Promise<T> => {
  const home = tempHome();
  const port = await freePort();
  const url = `http://127.0.0.1:${world.source.port}`;
  const args = ['--engine', 'upstream', '--url', url, '--port', String(port), '--slots', String(STREAMS)];
  const gateway = start([join(world.app, 'dist', 'lmx-main.js'), ...args], { OPTA_HOME: home });
  try {
    for (let i = 0; !(await isReady(port)); i++) {
      if (i > 600 || gateway.over) throw new Error('the gateway did not come up');
      await sleep(50);
    }
    return await run(port, gateway);
  } finally {
    await gateway.end();
    removeHome(home);
  }
};

const freePort = async (): Promise<number> => {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
};

const isReady = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const req = request({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (res) => {
      res.resume();
      res.on('end', () => resolve(res.statusCode === 200));
    });
    req.on('error', () => resolve(false));
    req.end();
  });

/** From the request handed to the socket until the first token is there, in milliseconds. */
const firstToken = (port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify({ model: 'bench', stream: true, messages: [{ role: 'user', content: 'tokens=1' }] });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const at = nowUs();
    let tookMs = 0;
    const req: ClientRequest = request(
      { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', headers, agent: false },
      (res) => {
        if (res.statusCode !== 200) return reject(new Error(`the first token: ${res.statusCode}`));
        res.on('data', (bytes: Buffer) => {
          if (tookMs === 0 && bytes.toString().includes(' 0:')) tookMs = (nowUs() - at) / 1_000;
        });
        res.on('end', () => (tookMs === 0 ? reject(new Error('no token')) : resolve(tookMs)));
      },
    );
    req.on('error', reject);
    req.end(body);
  });

/** What the gateway adds to the first token of the server behind it, asked in turn. */
export const gatewayOverhead = (world: World): Promise<void> =>
  withGateway(world, async (port) => {
    for (let i = 0; i < 50; i++) {
      await firstToken(world.source.port);
      await firstToken(port);
    }
    const p: { [share: string]: { ours: number[]; peer: number[] } } = {
      p50: { ours: [], peer: [] },
      p99: { ours: [], peer: [] },
    };
    for (let rep = 0; rep < world.reps; rep++) {
      const direct: number[] = [];
      const through: number[] = [];
      for (let i = 0; i < ASKS; i++) {
        direct.push(await firstToken(world.source.port));
        through.push(await firstToken(port));
      }
      for (const [name, share] of [
        ['p50', 0.5],
        ['p99', 0.99],
      ] as const) {
        p[name]?.ours.push(quantile(through, share));
        p[name]?.peer.push(quantile(direct, share));
      }
    }
    for (const [name, moreMs] of [
      ['p50', 1],
      ['p99', 5],
    ] as const) {
      const [ours, peer] = [figure(p[name]?.ours ?? []), figure(p[name]?.peer ?? [])];
      const met = ours.median <= peer.median + moreMs;
      world.add({
        case: 'm',
        what: `first token through the gateway, ${ASKS} each: ${name}`,
        unit: ' ms',
        ours,
        peer,
        peerName: 'the server behind it',
        target: `peer + ${moreMs} ms`,
        met,
      });
    }
  });

/** A hundred answers at once on one socket: each token is there once, in order, and this late. */
export const gatewayStreams = (world: World): Promise<void> =>
  withGateway(world, async (port, gateway) => {
    const late: { p50: number[]; p99: number[] } = { p50: [], p99: [] };
    const tokens = TPS * SECONDS;
    for (let rep = 0; rep < world.reps; rep++) {
      const tookMs = await floodOnce(port, tokens);
      late.p50.push(quantile(tookMs, 0.5));
      late.p99.push(quantile(tookMs, 0.99));
    }
    const what = `${STREAMS} streams of ${TPS} tokens/s through the gateway for ${SECONDS} s, none lost`;
    world.add({ case: 'n', what: `${what}: p50 birth → receipt`, unit: ' ms', ours: figure(late.p50) });
    world.add({ case: 'n', what: `${what}: p99`, unit: ' ms', ours: figure(late.p99) });
    if (gateway.over) throw new Error('the gateway ended');
  });

const floodOnce = async (port: number, tokens: number): Promise<number[]> => {
  const sockets = await Promise.all(
    Array.from({ length: Math.ceil(STREAMS / 16) }, () => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/v1/chat/stream`, { perMessageDeflate: false });
      return new Promise<WebSocket>((resolve, reject) => {
        ws.once('open', () => resolve(ws));
        ws.once('error', reject);
      });
    }),
  );
  const next = new Map<string, number>();
  const tookMs: number[] = [];
  let open = STREAMS;
  await new Promise<void>((resolve, reject) => {
    for (const ws of sockets)
      ws.on('message', (data) => {
        const frame = JSON.parse(String(data));
        const id = frame.client_request_id as string;
        if (frame.type === 'chat.error') return reject(new Error(frame.error));
        if (frame.type === 'chat.token') {
          const [, index, birth] = / (\d+):(\d+);/.exec(frame.content) ?? [];
          if (Number(index) !== (next.get(id) ?? 0))
            return reject(new Error(`token ${index} of ${id} is not in order`));
          next.set(id, Number(index) + 1);
          tookMs.push((nowUs() - Number(birth)) / 1_000);
        }
        if (frame.type === 'chat.done' && --open === 0) resolve();
      });
    const content = `tokens=${tokens} tps=${TPS}`;
    for (let i = 0; i < STREAMS; i++)
      sockets[i % sockets.length]?.send(
        JSON.stringify({
          type: 'chat.request',
          client_request_id: `s${i}`,
          model: 'bench',
          messages: [{ role: 'user', content }],
        }),
      );
  });
  for (const [id, count] of next) if (count !== tokens) throw new Error(`${id} has ${count} of ${tokens} tokens`);
  for (const ws of sockets) ws.close();
  return tookMs;
};
