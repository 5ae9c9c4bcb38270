import { createServer } from 'node:net';
import type { Case, Family, Running, World } from '../case.ts';

const held = { port: 0 };
const hold = async (world: World): Promise<void> => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  held.port = (server.address() as { port: number }).port;
  world.later(() => new Promise((resolve) => server.close(resolve)));
};
const untilUp = async (running: Running): Promise<void> => {
  await running.said(/127\.0\.0\.1:\d+/);
  running.child.kill('SIGTERM');
};
const PORTS = [
  [/(port )\d+/gi, '$1<port>'],
  [/--port \d{4,}/g, '--port <held>'],
] as const;

const CASES: Case[] = [
  { name: 'server', args: ['server', '--port', '0'], act: untilUp, stable: PORTS },
  { name: 'server-port-held', args: () => ['server', '--port', String(held.port)], before: hold, stable: PORTS },
  { name: 'server-not-loopback', args: ['server', '--host', '0.0.0.0'], in: 'empty' },
  { name: 'server-bad-port', args: ['server', '-p', 'many'], in: 'empty' },
  { name: 'server-help', args: ['server', '--help'], in: 'empty' },
];

export default { cases: CASES } satisfies Family;
