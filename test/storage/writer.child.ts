import { writeSync } from 'node:fs';
import { openLmdbStore } from '../../src/storage/lmdb-store.ts';
import { call } from './call.ts';
import { SessionLog, seeded } from './session-log.ts';

/** Commits until it is killed, and says `<session> <seq>` for each session of a commit only after its answer. */
const [folder, seed] = [process.argv[2]!, Number(process.argv[3])];
const random = seeded(seed);
const store = openLmdbStore({ path: folder, diskFreeBytesMin: 0 });
const logs = Array.from({ length: 4 }, (_, i) => new SessionLog(`s${seed}_${i}`, seeded(seed + i)));
for (;;) {
  const batch = logs
    .filter(() => random() < 0.6)
    .map((l) => l.commit(1 + Math.floor(random() * 20), { snapshot: random() < 0.2 }));
  await call((done) => store.commit(batch, done));
  writeSync(1, batch.map((c) => `${c.sessionId} ${c.index.seq}\n`).join(''));
}
