import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './steps.mjs';

/**
 * The client SDK for pages, as one file that needs nothing else. Fails when anything of Node is reached: esbuild finds no such
 * module for a browser. Resolves with esbuild's result; its `metafile` says what went in.
 */
export const bundleClient = async ({
  write = false,
  outfile = join(ROOT, 'dist', 'client', 'opta-client.js'),
} = {}) => {
  // Not at the top: who only starts the program has no need of it.
  const { build } = await import('esbuild');
  return build({
    entryPoints: [join(ROOT, 'src', 'client', 'browser.ts')],
    outfile,
    write,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: ['es2023', 'chrome110', 'firefox115', 'safari16.4'],
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
    plugins: [namespaceZod],
  });
};

/** `import { z }` is an object with all of zod in it; taken as a namespace, what nobody uses is left out: a third of the size. */
const namespaceZod = {
  name: 'namespace-zod',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/]src[\\/](?:client|protocol)[\\/].*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/^import \{ z \} from 'zod';/m, "import * as z from 'zod';"),
      loader: 'ts',
    })),
};
