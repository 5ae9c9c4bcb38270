import { Worker } from 'node:worker_threads';
import { Connection } from './http.ts';
import { type Daemon, type Running, startDaemon, stopDaemon } from './processes.ts';
import type { Row } from './table.ts';

/** What every case is given. */
export interface World {
  app: string;
  source: Running & { port: number };
  relay: Running & { port: number };
  /** Repetitions of each measurement. */
  reps: number;
  add(row: Row): void;
}

export const withDaemon = async <T>(world: World, run: (daemon: Daemon) => Promise<T>): Promise<T> => {
  const daemon = await startDaemon({ app: world.app, sourcePort: world.source.port });
  try {
    return await run(daemon);
  } finally {
    await stopDaemon(daemon);
  }
};

const must = (what: string, reply: { status: number; body: string }, status: number): string => {
  if (reply.status !== status) throw new Error(`${what}: ${reply.status} ${reply.body}`);
  return reply.body;
};

export const createSession = async (http: Connection): Promise<string> =>
  JSON.parse(must('create', await http.request('POST', '/v3/sessions', '{}'), 201)).sessionId;

export const submit = async (http: Connection, sessionId: string, content: string): Promise<string> => {
  const body = JSON.stringify({ clientId: 'bench', writerId: 'bench', content, mode: 'chat' });
  return JSON.parse(must('submit', await http.request('POST', `/v3/sessions/${sessionId}/turns`, body), 202)).turnId;
};

export const connectionsTo = (port: number, token: string | undefined, width: number): Connection[] =>
  Array.from({ length: width }, () => new Connection(port, token));

/** Answer times of `/v3/health` while `run` runs, in milliseconds. */
export const probingHealth = async <T>(
  daemon: Daemon,
  everyMs: number,
  run: () => Promise<T>,
): Promise<{ result: T; tookMs: number[] }> => {
  const workerData = { port: daemon.port, token: daemon.token, everyMs };
  const probe = new Worker(new URL('./health-probe.mjs', import.meta.url), { workerData, execArgv: [] });
  await new Promise((up) => probe.once('message', up));
  const result = await run();
  const tookMs = await new Promise<number[]>((resolve) => {
    probe.once('message', resolve);
    probe.postMessage('stop');
  });
  await probe.terminate();
  return { result, tookMs };
};
