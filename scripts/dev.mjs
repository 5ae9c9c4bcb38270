import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureInstalled, ensureNode, ROOT, runNode, toolPath } from './lib/steps.mjs';

// The command line from source, in the folder of whoever typed it.
ensureNode();
await ensureInstalled();
const loader = pathToFileURL(toolPath('tsx', 'dist/loader.mjs')).href;
const main = join(ROOT, 'src', 'cli', 'main.ts');
process.exitCode = await runNode(['--import', loader, main, ...process.argv.slice(2)], {
  cwd: process.env.INIT_CWD ?? process.cwd(),
});
