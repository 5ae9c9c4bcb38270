import { spawnSync } from 'node:child_process';

/** `npm run charts`: writes docs/statecharts/*.mmd from the machines. A test fails when they are stale. */
const r = spawnSync(process.execPath, ['--import', 'tsx', 'test/support/write-charts.ts', 'docs/statecharts'], {
  stdio: 'inherit',
});
process.exit(r.status ?? 1);
