import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { adapters } from './cases/adapters.ts';
import { attach } from './cases/attach.ts';
import { cancel } from './cases/cancel.ts';
import { create } from './cases/create.ts';
import { gatewayOverhead, gatewayStreams } from './cases/gateway.ts';
import { oneShot } from './cases/one-shot.ts';
import { pageFrames } from './cases/page.ts';
import { manySessions } from './cases/sessions.ts';
import { restart, startUp } from './cases/start.ts';
import { flood, paced } from './cases/stream.ts';
import { terminalKeys } from './cases/terminal.ts';
import { toolTurns } from './cases/turns.ts';
import { buildApp, endAll, OUT, profileDaemons, startScript } from './processes.ts';
import { type Row, tableOf } from './table.ts';
import type { World } from './world.ts';

/**
 * `npm run bench [-- --only a,b --reps 5 --app folder]`. Builds the program, or takes the one in `folder`. Prints a table, and writes `.build/bench/result.json`. docs/BENCHMARKS.md says what
 * is measured and what is not. Ends with 0 also when a target is missed: the machine decides too, and the table says which.
 */
const CASES: { [letter: string]: (world: World) => Promise<void> } = {
  a: flood,
  b: paced,
  c: manySessions,
  d: attach,
  e: startUp,
  f: restart,
  g: create,
  h: cancel,
  i: oneShot,
  j: adapters,
  k: terminalKeys,
  l: pageFrames,
  m: gatewayOverhead,
  n: gatewayStreams,
  o: toolTurns,
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    reps: { type: 'string', default: '5' },
    app: { type: 'string' },
    profile: { type: 'boolean' },
  },
});
const only = values.only?.split(',') ?? Object.keys(CASES);
const unknown = only.filter((letter) => !(letter in CASES));
if (unknown.length > 0) throw new Error(`no such case: ${unknown.join(', ')}`);

const run = async (): Promise<void> => {
  const app = values.app ?? buildApp();
  if (values.profile) process.stderr.write(`bench: CPU profiles of the daemons in ${profileDaemons()}\n`);
  const loader = join(app, 'dist', 'transport', 'uws', 'load-uws.js');
  const source = await startScript('source.mjs', []);
  const relay = await startScript('relay.mjs', [loader, String(source.port)]);
  const rows: Row[] = [];
  const world: World = { app, source, relay, reps: Number(values.reps), add: (row) => void rows.push(row) };
  for (const letter of only) {
    const startedAt = performance.now();
    process.stderr.write(`bench: ${letter} … `);
    await CASES[letter]?.(world);
    process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
  }
  await relay.end();
  await source.end();
  report(rows);
};

const report = (rows: readonly Row[]): void => {
  const machine = {
    cores: cpus().length,
    processor: cpus()[0]?.model,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
  mkdirSync(OUT, { recursive: true });
  const result = { at: new Date().toISOString(), reps: Number(values.reps), machine, rows };
  writeFileSync(join(OUT, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  const judged = rows.filter((row) => row.met !== undefined);
  const missed = judged.filter((row) => !row.met).length;
  process.stdout.write(
    `${tableOf(rows)}\n\n${judged.length - missed} of ${judged.length} targets met. Median [min–max].\n`,
  );
};

try {
  await run();
} finally {
  await endAll();
}
process.exit();
