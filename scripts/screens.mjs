import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, ROOT, runNode } from './lib/steps.mjs';

// Makes the pictures of docs/screens: a real daemon with a scripted conversation, a real terminal and a real browser.
// `node scripts/screens.mjs [--only terminal,session] [--out folder]`
ensureNode();
await ensureInstalled();
await ensureBuilt();
const main = join(ROOT, 'test', 'screens', 'pictures', 'main.ts');
process.exitCode = await runNode(['--import', 'tsx', main, ...process.argv.slice(2)], { env: loopbackEnv() });
