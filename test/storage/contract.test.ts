import type { Clock } from '../../src/actors/ports.ts';
import { openLmdbStore } from '../../src/storage/lmdb-store.ts';
import { createMemoryStore } from '../../src/storage/memory-store.ts';
import { call } from './call.ts';
import { seeded } from './session-log.ts';
import { storeContract } from './store-contract.ts';
import { tempFolder } from './temp-folder.ts';

const clock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
  soon: (fn) => {
    setImmediate(fn);
  },
};

storeContract('LMDB', async () => {
  const folder = tempFolder();
  let free = 1e12;
  let nowMs = 0;
  // Every look at the clock is a second later, so that the disk is looked at for each commit.
  const openOne = () => openLmdbStore({ path: folder.path, freeBytes: () => free, now: () => (nowMs += 1000) });
  const stores = [openOne()];
  return {
    store: stores[0]!,
    full: (on) => {
      free = on ? 1000 : 1e12;
    },
    again: async () => {
      const store = openOne();
      stores.push(store);
      return store;
    },
    dispose: async () => {
      for (const store of stores) await call((done) => store.close(done));
      folder.remove();
    },
  };
});

storeContract('memory', async () => {
  const random = seeded(1);
  let store = createMemoryStore({ clock, random, latencyMs: () => (random() < 0.8 ? 0 : 1) });
  return {
    store,
    full: (on) => store.diskFull(on),
    again: async () => {
      store = store.crash({ loseUnflushed: false });
      return store;
    },
    dispose: async () => undefined,
  };
});
