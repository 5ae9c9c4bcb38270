import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { currentModel } from '../../src/config/default-model.ts';
import { editFile, setKey } from '../../src/config/edit.ts';
import { loadConfig } from '../../src/config/load.ts';
import { optaPaths } from '../../src/config/paths.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opta-model-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

test('[CF7] a chosen model reaches a running daemon, but not one that belongs to a host which it was not started with', async () => {
  const env = { OPTA_HOME: home };
  const paths = optaPaths(env);
  await setKey(paths, env, 'model.default', 'first');
  const model = currentModel(paths.configFile, () => loadConfig({ env }));
  expect(model()).toBe('first');
  await setKey(paths, env, 'model.default', 'second');
  expect(model()).toBe('second');
  await editFile(paths, env, (layer) =>
    Object.assign(layer, { connection: { host: 'other.test' }, model: { default: 'theirs' } }),
  );
  expect(model()).toBe('second');
  writeFileSync(paths.configFile, '{"broken":');
  expect(model()).toBe('second');
  await editFile(paths, env, () => undefined).catch(() => rmSync(paths.configFile));
  await setKey(paths, env, 'model.default', 'third');
  expect(model()).toBe('third');
});
