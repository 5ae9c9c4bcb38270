import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../../src/cli/exit.ts';
import type { Family } from './case.ts';
import { goldenFile, type Outcome, runFamily } from './runner.ts';
import { playScenarios, type Scenarios } from './wire.ts';

/** See README.md beside this file. */
const UPDATE = process.env.OPTA_UPDATE_GOLDEN === '1';
const FAMILY_DEADLINE_MS = 600_000;
const CASES = new URL('./cases/', import.meta.url);

const names = readdirSync(CASES)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'))
  .sort();
const families = await Promise.all(
  names.map(async (name) => ({ name, family: ((await import(`./cases/${name}.ts`)) as { default: Family }).default })),
);

const compare = (file: string, text: string): void => {
  if (UPDATE) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(existsSync(file), `${file} is missing: look at what is printed, then OPTA_UPDATE_GOLDEN=1`).toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
};

describe.each(families)('golden files of $name', ({ name, family }) => {
  let outcomes = new Map<string, Outcome | Error>();
  beforeAll(async () => {
    outcomes = await runFamily(family);
  }, FAMILY_DEADLINE_MS);

  test('[GF1] every case has a name of its own', () => {
    const all = family.cases.map((c) => c.name);
    expect(all.filter((n, i) => !/^[a-z0-9-]+$/.test(n) || all.indexOf(n) !== i)).toEqual([]);
  });

  test.each(family.cases.map((c) => c.name))('[GF1] %s', (caseName) => {
    const outcome = outcomes.get(caseName);
    if (outcome === undefined || outcome instanceof Error) throw outcome ?? new Error('the case was not run');
    compare(goldenFile(name, caseName), outcome.text);
  });
});

const WIRE = new URL('./wire/', import.meta.url);
const scenarios: Scenarios = Object.assign(
  {},
  ...(await Promise.all(
    readdirSync(WIRE).map(
      async (file) => ((await import(`./wire/${basename(file, '.ts')}.ts`)) as { default: Scenarios }).default,
    ),
  )),
);

describe('golden files of the wire', () => {
  let told = new Map<string, string | Error>();
  beforeAll(async () => {
    told = await playScenarios(scenarios);
  }, FAMILY_DEADLINE_MS);

  test.each(Object.keys(scenarios))('[GF1] %s', (name) => {
    const text = told.get(name);
    if (text === undefined || text instanceof Error) throw text ?? new Error('the scenario was not played');
    compare(goldenFile('wire', name), text);
  });
});

test('[GF1] no golden file is left without its case', () => {
  const wanted = new Set(families.flatMap(({ name, family }) => family.cases.map((c) => goldenFile(name, c.name))));
  for (const name of Object.keys(scenarios)) wanted.add(goldenFile('wire', name));
  const folder = dirname(dirname(goldenFile('x', 'x')));
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.txt'))
    .map((file) => join(folder, file));
  const orphans = found.filter((file) => !wanted.has(file));
  if (UPDATE) for (const file of orphans) rmSync(file);
  else expect(orphans).toEqual([]);
});

test('[AU2, GF1] each exit code of the table is that of at least one command line here, and there is no other', () => {
  const files = families.flatMap(({ name, family }) => family.cases.map((c) => goldenFile(name, c.name)));
  const codes = files.map((file) => Number(/^exit (\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1]));
  expect([...new Set(codes)].sort((a, b) => a - b)).toEqual(Object.values(EXIT).sort((a, b) => a - b));
});
