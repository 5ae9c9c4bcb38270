import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { startDaemon } from '../support/daemon.ts';
import { attempt, type Score, TASKS } from './suite.ts';

/**
 * `npm run eval -- --port 1234 [--model NAME] [--only a,b] [--timeout-s 600] [--json FILE]`: the task suite with the model of an inference
 * server on this machine. Without one nothing is scored, and that is what the report says.
 */
const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: process.env.OPTA_PORT ?? '1234' },
    model: { type: 'string', default: process.env.OPTA_MODEL ?? '' },
    only: { type: 'string' },
    'timeout-s': { type: 'string', default: '600' },
    json: { type: 'string' },
  },
});

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|localhost|::1)$/;

const listed = async (): Promise<string[] | null> => {
  const name = values.host.includes(':') ? `[${values.host}]` : values.host;
  try {
    const answer = await fetch(`http://${name}:${values.port}/v1/models`, { signal: AbortSignal.timeout(3_000) });
    const { data } = (await answer.json()) as { data?: { id?: unknown }[] };
    return (data ?? []).flatMap(({ id }) => (typeof id === 'string' ? [id] : []));
  } catch {
    return null;
  }
};

const report = (scores: readonly Score[], model: string | null, note?: string): void => {
  const done = scores.filter(({ why }) => why === null).length;
  for (const { id, why, outcome, stopReason, toolCalls, tokens, elapsedMs } of scores) {
    const facts = `${toolCalls} calls, ${tokens} tokens, ${(elapsedMs / 1_000).toFixed(1)} s, ${stopReason ?? outcome}`;
    console.log(
      `${why === null ? 'done    ' : 'not done'} ${id.padEnd(18)} ${facts}${why === null ? '' : `\n         ${why.split('\n')[0]}`}`,
    );
  }
  console.log(
    model === null ? `no model: nothing was scored (${note})` : `${done} of ${scores.length} done by ${model}`,
  );
  if (values.json === undefined) return;
  mkdirSync(dirname(values.json), { recursive: true });
  const tasks = TASKS.map(({ id }) => id);
  writeFileSync(
    values.json,
    `${JSON.stringify({ model, done: model === null ? null : done, tasks, scores, note }, null, 2)}\n`,
  );
};

const wanted = TASKS.filter(({ id }) => values.only === undefined || values.only.split(',').includes(id));
if (wanted.length === 0) throw new Error(`no such task; there are ${TASKS.map(({ id }) => id).join(', ')}`);
if (!LOOPBACK.test(values.host))
  throw new Error('the server must be on this machine: nothing here contacts another one');

const models = await listed();
const model = values.model || models?.[0];
if (models === null) report([], null, `no inference server answers on ${values.host}:${values.port}`);
else if (model === undefined) report([], null, 'the server lists no model');
else {
  // The server is the user's own, and on this machine.
  const env = { OPTA_HOST: values.host, OPTA_TRUSTED: 'true' };
  const daemon = await startDaemon({ lmxPort: Number(values.port), env });
  try {
    const scores: Score[] = [];
    for (const task of wanted) {
      scores.push(await attempt(daemon, task, { model, timeoutMs: Number(values['timeout-s']) * 1_000 }));
      console.error(`${scores.length} of ${wanted.length}: ${task.id}`);
    }
    report(scores, model);
  } finally {
    await daemon.dispose();
  }
}
