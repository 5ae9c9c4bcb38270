import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bundleClient } from '../../scripts/lib/client-bundle.mjs';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const pkg = JSON.parse(readFileSync(join(SRC, '..', 'package.json'), 'utf8'));

/** Every module that is loaded with this one; what only a type needs is not. */
const graphOf = (entry: string): { files: Set<string>; packages: Set<string> } => {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (files.has(file)) return;
    files.add(file);
    const text = readFileSync(file, 'utf8').replace(/^(?:import|export) type\b[^;]*;/gm, '');
    for (const [, target] of text.matchAll(/^(?:import|export)\b[^;]*?\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm)) {
      if (target?.startsWith('.')) visit(resolve(dirname(file), target));
      else if (target) packages.add(target);
    }
  };
  visit(join(SRC, entry));
  return { files, packages };
};

describe("the browser's entry", () => {
  test('[CL4] loads nothing of Node, and of packages only the schemas and the parser of event streams', () => {
    const { files, packages } = graphOf('client/browser.ts');
    expect([...packages].sort()).toEqual(['eventsource-parser', 'zod']);
    const names = [...files].map((file) => relative(SRC, file).replaceAll('\\', '/'));
    expect(names.every((name) => name.startsWith('client/') || name.startsWith('protocol/'))).toBe(true);
    expect(names).toContain('client/session-link.ts');
    expect(names).not.toContain('client/node.ts');
    const globals = /\b(?:process|Buffer|__dirname|require|setImmediate)\b[.(]/;
    const used = [...files].filter((file) =>
      globals.test(readFileSync(file, 'utf8').replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, '')),
    );
    expect(used).toEqual([]);
  });

  test("[CL4] the walk finds what it looks for: Node's entry reaches Node", () => {
    const { packages } = graphOf('client/index.ts');
    expect([...packages].filter((name) => builtinModules.includes(name.replace('node:', '')))).not.toEqual([]);
    expect([...packages]).toContain('ws');
  });

  test('[CL4] becomes one file without an import, which runs where there is no Node', async () => {
    const { outputFiles, metafile, warnings } = await bundleClient();
    expect(warnings).toEqual([]);
    const [output] = Object.values(metafile.outputs);
    expect(output?.imports).toEqual([]);
    expect(output?.exports.sort()).toEqual(
      [
        'DaemonHttpClient',
        'DaemonWsClient',
        'OptaClient',
        'OptaError',
        'SessionView',
        'connect',
        'foldTurn',
        'itemsOf',
        'stateHash',
      ].sort(),
    );
    const text = outputFiles[0]?.text ?? '';
    expect(text).not.toMatch(/node:|from\s*["']/);
    // Loaded from a folder of its own, with what is Node's alone taken away first.
    const dir = mkdtempSync(join(tmpdir(), 'opta-bundle-'));
    try {
      writeFileSync(join(dir, 'opta-client.mjs'), text);
      const script = `
        delete globalThis.process; delete globalThis.Buffer; delete globalThis.setImmediate;
        const { SessionView, connect } = await import(${JSON.stringify(join(dir, 'opta-client.mjs'))});
        connect({ address: async () => ({ host: '127.0.0.1', port: 1, token: 't' }) });
        console.log(new SessionView('s').stateHash());`;
      const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      const { SessionView } = await import('../../src/client/index.ts');
      expect(run.stdout.trim(), run.stderr).toBe(new SessionView('s').stateHash());
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test('[CL4] is what a page or a bundler gets from the package, and Node gets its own', () => {
    expect(pkg.exports['./client'].browser.default).toBe('./dist/client/browser.js');
    expect(pkg.exports['./client'].node.default).toBe('./dist/client/index.js');
    expect(Object.keys(pkg.exports['./client']).at(-1)).toBe('default');
    expect(pkg.exports['./client/browser'].default).toBe('./dist/client/browser.js');
    expect(pkg.exports['./client/opta-client.js'].default).toBe('./dist/client/opta-client.js');
    for (const [name, target] of Object.entries(pkg.exports)) {
      const text = JSON.stringify(target);
      for (const [, file] of text.matchAll(/"\.\/dist\/(client\/[a-z]+)\.(?:js|d\.ts)"/g)) {
        expect(readFileSync(join(SRC, `${file}.ts`), 'utf8').length, name).toBeGreaterThan(0);
      }
    }
  });
});
