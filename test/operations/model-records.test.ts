import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { optaPaths } from '../../src/config/paths.ts';
import { deleteAlias, readRecords, remember, setAlias } from '../../src/operations/model-records.ts';
import { removeDir, tempDir } from '../support/cli.ts';

let home: string;
const paths = () => optaPaths({ OPTA_HOME: home });
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

test('[MD3] aliases and history are kept in a private file, and changes at the same time lose nothing', async () => {
  expect(readRecords(paths())).toEqual({ version: 1, aliases: {}, history: [] });
  const names = Array.from({ length: 12 }, (_, i) => `a${i}`);
  await Promise.all(names.flatMap((name) => [setAlias(paths(), name, `m/${name}`), remember(paths(), name, 'load')]));
  const { aliases, history } = readRecords(paths());
  expect(Object.keys(aliases).sort()).toEqual([...names].sort());
  expect(history.map((entry) => entry.id).sort()).toEqual([...names].sort());
  expect(statSync(join(home, 'models.json')).mode & 0o777).toBe(0o600);
  expect(await setAlias(paths(), 'a1', 'other')).toBe('m/a1');
  expect(await deleteAlias(paths(), 'a1')).toBe('other');
  await expect(deleteAlias(paths(), 'a1')).rejects.toMatchObject({ code: 'not-found' });
  for (const name of ['', 'a b', '../x', '__proto__'])
    await expect(setAlias(paths(), name, 'm')).rejects.toMatchObject({ code: 'invalid-request' });
});

test('[MD3] history has one entry for a model, the newest first, and is bounded', async () => {
  await remember(paths(), 'old', 'load');
  const first = readRecords(paths()).history[0]?.firstSeenAt;
  for (const id of ['b', 'old']) await remember(paths(), id, 'use');
  expect(readRecords(paths()).history).toEqual([
    { id: 'old', firstSeenAt: first, lastSeenAt: expect.any(String), lastAction: 'use' },
    expect.objectContaining({ id: 'b', lastAction: 'use' }),
  ]);
  const entry = readRecords(paths()).history[0];
  const many = Array.from({ length: 600 }, (_, i) => ({ ...entry, id: `m${i}` }));
  writeFileSync(join(home, 'models.json'), JSON.stringify({ version: 1, aliases: {}, history: many }));
  await remember(paths(), 'new', 'delete');
  expect(
    readRecords(paths())
      .history.map((e) => e.id)
      .slice(0, 2),
  ).toEqual(['new', 'm0']);
  expect(readRecords(paths()).history).toHaveLength(500);
});

test('[MD3] a damaged file is named and left as it is', async () => {
  const file = join(home, 'models.json');
  writeFileSync(file, '{"version":1');
  expect(() => readRecords(paths())).toThrow(file);
  await expect(remember(paths(), 'm', 'use')).rejects.toMatchObject({ code: 'invalid-request' });
  expect(readFileSync(file, 'utf8')).toBe('{"version":1');
});
