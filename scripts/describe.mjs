import { spawnSync } from 'node:child_process';

/** Writes docs/api/*.json from the tables of operations, events and frames. A test fails when they are stale. */
const r = spawnSync(process.execPath, ['--import', 'tsx', 'test/support/write-descriptions.ts', 'docs/api'], {
  stdio: 'inherit',
});
process.exit(r.status ?? 1);
