import { open } from 'lmdb';

/** Begins a write transaction and never ends it: whoever writes to the folder next waits inside LMDB. */
const env = open({ path: process.argv[2]!, noSubdir: false, maxDbs: 8 });
env.transactionSync(() => {
  process.stdout.write('held\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000);
});
