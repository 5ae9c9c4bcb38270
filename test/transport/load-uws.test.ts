import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { uwsAdapter } from '../../src/transport/uws/adapter.ts';
import { loadUws } from '../../src/transport/uws/load-uws.ts';
import { uwsMissing } from './world.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'opta-uws-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (name: string, manifest: object, files: { [name: string]: string }): void => {
  const dir = join(root, 'node_modules', name);
  mkdirSync(join(dir, 'binaries'), { recursive: true });
  writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
};
const load = () =>
  loadUws(pathToFileURL(join(root, 'main.js')).href, { platform: 'linux', arch: 'x64', abi: '999', node: '99.1.0' });

const WORKS = 'module.exports = { App() {}, us_listen_socket_close() {}, us_socket_local_port() {} };';
const STUB = 'globalThis.__stubLoaded = true; module.exports = {};';

test('[SV3] nothing installed: both names and why', () => {
  const result = load();
  expect(result).toEqual({
    reasons: ['uWebSockets.js is not installed', '@trufflesuite/uws-js-unofficial is not installed'],
  });
  expect(uwsAdapter(result)).toBe(result);
});

test('[SV3] an official package that loads comes first', () => {
  put('uWebSockets.js', { name: 'uWebSockets.js', version: '20.57.0', main: 'uws.js' }, { 'uws.js': WORKS });
  put(
    '@trufflesuite/uws-js-unofficial',
    { name: '@trufflesuite/uws-js-unofficial', version: '20.30.0-unofficial.0' },
    {},
  );
  expect(load()).toMatchObject({ why: 'uWebSockets.js 20.57.0, loads on node ABI 999' });
});

test('[SV3] an official package that fails, and a native file for another Node: the reasons name the cause, not a path', () => {
  const glibc = "throw new Error('version `GLIBC_2.38` not found')";
  put('uWebSockets.js', { name: 'uWebSockets.js', version: '20.57.0', main: 'uws.js' }, { 'uws.js': glibc });
  const npm = { name: '@trufflesuite/uws-js-unofficial', version: '20.30.0-unofficial.0', main: 'src.js' };
  put('@trufflesuite/uws-js-unofficial', npm, { 'src.js': STUB, 'binaries/uws_linux_x64_115.node': '' });
  expect(load()).toEqual({
    reasons: [
      'uWebSockets.js does not load: version `GLIBC_2.38` not found',
      '@trufflesuite/uws-js-unofficial has no binary for node 99 on linux x64 (uws_linux_x64_999.node)',
    ],
  });
  expect((globalThis as { __stubLoaded?: boolean }).__stubLoaded).toBeUndefined();
});

test('[SV3] a broken native file and a package that lacks what is called are reasons too', () => {
  put('uWebSockets.js', { name: 'uWebSockets.js', version: '1.0.0', main: 'uws.js' }, { 'uws.js': STUB });
  const npm = { name: '@trufflesuite/uws-js-unofficial', version: '20.30.0-unofficial.0' };
  put('@trufflesuite/uws-js-unofficial', npm, { 'binaries/uws_linux_x64_999.node': 'not ELF' });
  const result = load() as { reasons: string[] };
  expect(result.reasons[0]).toBe('uWebSockets.js lacks App()');
  expect(result.reasons[1]).toContain('uws_linux_x64_999.node');
  expect(result.reasons[1]).not.toContain(root);
});

test.skipIf(uwsMissing !== null)(`[SV3] what is installed here loads${uwsMissing ?? ''}`, () => {
  expect(loadUws()).toMatchObject({ why: expect.stringMatching(/native file uws_|loads on node ABI/) });
});
