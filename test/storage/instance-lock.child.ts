import { OptaError } from '../../src/protocol/errors.ts';
import { acquireInstanceLock } from '../../src/storage/instance-lock.ts';

/**
 * Waits for its starting shot (a time, so that all of a round start at once), tries once, and says how it went. A winner holds the
 * lock until it is killed or told to let go.
 */
const [folder, atMs] = [process.argv[2]!, Number(process.argv[3])];
while (Date.now() < atMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
try {
  acquireInstanceLock(folder);
  process.stdout.write(`won ${process.pid}\n`);
  setInterval(() => undefined, 1_000);
} catch (cause) {
  if (!(cause instanceof OptaError)) throw cause;
  process.stdout.write(`lost ${cause.code} ${String(cause.facts.pid)}\n`);
}
