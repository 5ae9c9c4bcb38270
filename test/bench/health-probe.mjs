// Asks /v3/health again and again over one connection, on a thread of its own: the client's own work must not count as the
// daemon's. Posts the answer times in milliseconds when it is told to stop.
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { port, token, everyMs } = workerData;
const request = `GET /v3/health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
const tookMs = [];
let askedAt = 0;
let waiting = false;
let stopped = false;

const socket = connect(port, '127.0.0.1');
socket.setNoDelay(true);
const ask = () => {
  if (stopped) return;
  askedAt = performance.now();
  waiting = true;
  socket.write(request);
};
socket.on('connect', () => {
  parentPort.postMessage('up');
  ask();
});
let text = '';
socket.on('data', (chunk) => {
  text += chunk.latin1Slice();
  const head = text.indexOf('\r\n\r\n');
  if (head < 0 || text.length < head + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1])) return;
  text = '';
  waiting = false;
  tookMs.push(performance.now() - askedAt);
  setTimeout(ask, everyMs);
});
parentPort.on('message', () => {
  stopped = true;
  // What is still unanswered has waited for so long at least.
  if (waiting) tookMs.push(performance.now() - askedAt);
  parentPort.postMessage(tookMs);
  socket.destroy();
});
