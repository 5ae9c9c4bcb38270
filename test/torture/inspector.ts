import { WebSocket } from 'ws';
import { type Daemon, until } from '../support/daemon.ts';

/** What only the process itself can tell, asked through the inspector of its Node: nothing is built into the daemon for it. */
export interface Inside {
  heapUsed: number;
  external: number;
  /** What keeps its event loop alive, by kind: `Timeout`, `TCPSocketWrap` … */
  resources: { [kind: string]: number };
}

/** For `startDaemon`: any free port of loopback. */
export const INSPECTED = ['--inspect=127.0.0.1:0'];

const EXPRESSION = `(() => {
  const { heapUsed, external } = process.memoryUsage();
  const resources = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return JSON.stringify({ heapUsed, external, resources });
})()`;
const ANSWER_MS = 20_000;

/** Collects garbage first, so that what is left is what something still holds. */
export const lookInside = async (daemon: Daemon): Promise<Inside> => {
  const listening = /Debugger listening on (ws:\S+)/;
  await until('the inspector', () => listening.test(daemon.process.stderr));
  const ws = new WebSocket(listening.exec(daemon.process.stderr)?.[1] as string);
  try {
    await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
    let serial = 0;
    const ask = (method: string, params: object = {}): Promise<{ result?: { value?: string } }> =>
      new Promise((resolve, reject) => {
        const id = ++serial;
        const late = setTimeout(() => reject(new Error(`${method}: no answer in ${ANSWER_MS} ms`)), ANSWER_MS);
        ws.on('message', (data) => {
          const answer = JSON.parse(data.toString()) as { id: number; result: { result?: { value?: string } } };
          if (answer.id !== id) return;
          clearTimeout(late);
          resolve(answer.result);
        });
        ws.send(JSON.stringify({ id, method, params }));
      });
    // Twice: what finalizers of the first round let go is collected by the second.
    for (let i = 0; i < 2; i++) await ask('HeapProfiler.collectGarbage');
    const { result } = await ask('Runtime.evaluate', { expression: EXPRESSION });
    return JSON.parse(result?.value ?? 'null') as Inside;
  } finally {
    ws.terminate();
  }
};
