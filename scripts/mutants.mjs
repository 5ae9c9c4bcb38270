import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { MUTANTS } from '../test/sim/mutants.mjs';

/**
 * `npm run mutants [-- --sessions N] [--only text]`: puts each fault into a copy of the source and lets the simulator look for it.
 * Exit 1 when one is not caught, or when a fault no longer fits the source.
 */
const args = process.argv.slice(2);
const value = (name, fallback) => {
  const i = args.indexOf(`--${name}`);
  return i < 0 ? fallback : args[i + 1];
};
const sessions = value('sessions', '3000');
const only = value('only', '');
const root = join('.build', 'mutants');
rmSync(root, { recursive: true, force: true });

const plant = (mutant, folder) => {
  mkdirSync(folder, { recursive: true });
  cpSync('src', join(folder, 'src'), { recursive: true });
  mkdirSync(join(folder, 'test'), { recursive: true });
  cpSync('test/sim', join(folder, 'test', 'sim'), { recursive: true });
  for (const { file, find, replace } of [mutant, ...(mutant.also ?? [])]) {
    const path = join(folder, file);
    const text = readFileSync(path, 'utf8');
    if (text.split(find).length !== 2) throw new Error(`"${mutant.name}" does not fit ${file} exactly once`);
    writeFileSync(
      path,
      text.replace(find, () => replace),
    );
  }
};

const hunt = (folder) =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(folder, 'test/sim/run.ts'), '--sessions', sessions],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1' },
      },
    );
    let out = '';
    const take = (chunk) => {
      out += chunk;
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    // A mutant may also hang; the simulator's own steps are bounded, real time is bounded here.
    const late = setTimeout(() => child.kill('SIGKILL'), 240_000);
    child.on('close', (code) => {
      clearTimeout(late);
      resolve({ caught: code !== 0, out });
    });
  });

const queue = MUTANTS.filter((m) => m.name.includes(only)).map((mutant, i) => ({
  mutant,
  folder: join(root, String(i)),
}));
let missed = 0;
let caught = 0;
const worker = async () => {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { mutant, folder } = next;
    const startedAt = performance.now();
    try {
      plant(mutant, folder);
      const result = await hunt(folder);
      if (/TransformError|SyntaxError|ReferenceError/.test(result.out))
        throw new Error(`does not compile: ${result.out.slice(0, 200)}`);
      const wanted = mutant.expected !== 'survives';
      const first =
        /(?:\b[A-Z]{2}\d\b[^\n]*|\w*Error[^\n]*)/.exec(result.out)?.[0]?.slice(0, 110) ??
        result.out.trim().slice(0, 110);
      const seed = /seed (\d+)/.exec(result.out)?.[1] ?? '-';
      if (result.caught) caught++;
      if (wanted && !result.caught) missed++;
      const verdict = result.caught ? 'caught  ' : wanted ? 'MISSED  ' : 'survives';
      const note = result.caught ? `seed ${seed}: ${first}` : (mutant.why ?? '');
      console.log(`${verdict} ${mutant.name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s) ${note}`);
    } catch (error) {
      missed++;
      console.log(`BROKEN   ${mutant.name}: ${error.message}`);
    }
    rmSync(folder, { recursive: true, force: true });
  }
};
await Promise.all(Array.from({ length: availableParallelism() }, worker));
const known = MUTANTS.filter((m) => m.expected === 'survives').length;
console.log(
  `${caught} mutants caught, ${missed} missed${only === '' ? `, ${known} outside what a world can show` : ''}`,
);
process.exit(missed > 0 ? 1 : 0);
