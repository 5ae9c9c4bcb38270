import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { upgradeOf } from '../bench/upgrade.ts';
import { frame } from '../torture/raw-client.ts';
import { TOKEN, until, type World, world } from './world.ts';

let w: World;
beforeAll(async () => {
  w = await world({ bounds: { socketBytesMax: 1 << 20 } });
  w.runtime.seed('a');
});
afterAll(() => w.close());

test('[SV3] pongs that a peer does not take count like frames: above the bound its socket is closed', async () => {
  const path = '/v3/ws?sessionId=a&afterSeq=1000000';
  const socket = connect(w.server.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(upgradeOf({ port: w.server.port, path, token: TOKEN }));
  await until('attached', () => w.runtime.attachments.size === 1);
  const pings = Buffer.concat(Array.from({ length: 1_000 }, () => frame(0x89, 'p'.repeat(125))));
  // What the kernel holds for a connection is not the daemon's; beyond that it may keep a megabyte.
  for (let i = 0; i < 600 && w.runtime.attachments.size > 0; i++) {
    if (!socket.write(pings)) await new Promise((wake) => setTimeout(wake, 1));
  }
  await until('closed', () => w.runtime.attachments.size === 0);
  expect(w.faults).toEqual([]);
  socket.destroy();
});
