import { ensureBuilt, ensureInstalled, ensureNode } from './lib/steps.mjs';

ensureNode();
await ensureInstalled();
const built = await ensureBuilt({ force: process.argv.includes('--force') });
if (!built) process.stderr.write('opta: dist is up to date\n');
