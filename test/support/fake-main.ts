import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FakeDaemon } from './fake-daemon.ts';

/** A daemon process for tests of starting and stopping: an instance lock, a state file, a clean stop on SIGTERM. */
const home = process.env.OPTA_HOME as string;
const lock = join(home, 'daemon', 'lock');
const mode = process.env.FAKE_MAIN_MODE;

if (mode === 'crash') {
  process.stderr.write('Error: the disk is on fire\n    at nowhere\n');
  process.exit(1);
}
try {
  closeSync(openSync(lock, 'wx'));
} catch {
  process.stderr.write('{"level":50,"msg":"daemon-already-running"}\n');
  process.exit(1);
}
// Long enough for a second starter to meet the lock before there is a state file.
await new Promise((resolve) => setTimeout(resolve, 300));
const daemon = await new FakeDaemon().start();
daemon.writeState(home, { pid: process.pid });
process.on('SIGTERM', () => {
  if (mode === 'stubborn') return;
  rmSync(join(home, 'daemon', 'state.json'), { force: true });
  rmSync(lock, { force: true });
  process.exit(0);
});
