// Runs a command while every port that a daemon may have is taken: `node ports-taken.fixture.mjs FIRST LAST command …`. Started in a
// network of its own it takes them from nobody else's tests.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const [first, last, command, ...args] = process.argv.slice(2);
for (const port of [9_999, ...Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => Number(first) + i)])
  await new Promise((done) => {
    const server = createServer((socket) => socket.destroy());
    // One that cannot be had is taken by somebody else, which is as good.
    server.once('error', done);
    server.listen(port, '127.0.0.1', done);
  });
const child = spawn(command, args, { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
