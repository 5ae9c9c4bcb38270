import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { OptaError } from '../../src/protocol/errors.ts';
import { acquireInstanceLock } from '../../src/storage/instance-lock.ts';
import { isAlive, ownIdentity } from '../../src/storage/process-identity.ts';
import { child, ended, saidUntil } from './child.ts';
import { tempFolder } from './temp-folder.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});
const folderOf = (): string => {
  const folder = tempFolder();
  cleanups.push(folder.remove);
  return folder.path;
};
const failure = (fn: () => unknown): OptaError => {
  try {
    fn();
  } catch (cause) {
    if (cause instanceof OptaError) return cause;
    throw cause;
  }
  throw new Error('nothing was thrown');
};
const locks = (folder: string): string[] => readdirSync(folder).sort();

test('[EV1] the second holder is refused with the pid of the first, until the first lets go', () => {
  const folder = folderOf();
  const lock = acquireInstanceLock(folder);
  const refused = failure(() => acquireInstanceLock(folder));
  expect([refused.code, refused.facts]).toEqual(['daemon-already-running', { pid: process.pid }]);
  lock.release();
  const next = acquireInstanceLock(folder);
  // Letting go twice does not take the lock from whoever has it now.
  lock.release();
  expect(failure(() => acquireInstanceLock(folder)).code).toBe('daemon-already-running');
  next.release();
});

test('[EV1] a thousand starts leave two files and no drafts', () => {
  const folder = folderOf();
  for (let i = 0; i < 1_000; i++) acquireInstanceLock(folder).release();
  expect(locks(folder)).toEqual(['instance-lock.1000', 'instance-lock.999']);
});

test('[EV1] a dead pid, a pid that another process has now, and a file that a power cut emptied do not hold the lock', () => {
  const me = ownIdentity();
  const stale = [
    JSON.stringify({ ...me, started: `${me.started}0`, released: false }),
    JSON.stringify({ pid: 4_194_305, started: me.started, released: false }),
    JSON.stringify({ ...me, released: true }),
    '',
    '{"pid":',
    'null',
    '{"pid":-1,"released":false}',
    '{"pid":"1"}',
  ];
  for (const text of stale) {
    const folder = folderOf();
    writeFileSync(join(folder, 'instance-lock.41'), text);
    writeFileSync(join(folder, 'instance-lock.40'), JSON.stringify({ ...me, released: false }));
    writeFileSync(join(folder, 'instance-lock-draft-4194305-abc'), 'x');
    acquireInstanceLock(folder);
    expect(locks(folder)).toEqual(['instance-lock.41', 'instance-lock.42']);
    expect(failure(() => acquireInstanceLock(folder)).code).toBe('daemon-already-running');
  }
});

test('[EV1] a holder whose start time is unknown is believed to live while its pid does', () => {
  const folder = folderOf();
  writeFileSync(join(folder, 'instance-lock.1'), JSON.stringify({ pid: process.pid, started: null, released: false }));
  expect(failure(() => acquireInstanceLock(folder)).facts).toEqual({ pid: process.pid });
});

test('[EV1] a process is itself, and neither its successor with the same pid nor a zombie', async () => {
  const me = ownIdentity();
  expect(me.started).not.toBeNull();
  expect([
    isAlive(me),
    isAlive({ pid: process.pid, started: 'other' }),
    isAlive({ pid: 4_194_305, started: null }),
  ]).toEqual([true, false, false]);
  const proc = child('instance-lock.child.ts', folderOf(), '0');
  await saidUntil(proc, (text) => text.includes('won'));
  expect(isAlive({ pid: proc.pid!, started: null })).toBe(true);
  proc.kill('SIGKILL');
  await ended(proc);
  expect(isAlive({ pid: proc.pid!, started: null })).toBe(false);
});

test('[EV1] of four processes that start at once exactly one wins, ten times over the lock of a killed one', async () => {
  const folder = folderOf();
  const races = 10;
  const contenders = 4;
  let previous = '';
  for (let round = 0; round < races; round++) {
    // Long enough to load: the shot must find all of them waiting.
    const atMs = Date.now() + 700;
    const procs = Array.from({ length: contenders }, () => child('instance-lock.child.ts', folder, String(atMs)));
    try {
      const said = await Promise.all(procs.map((p) => saidUntil(p, (text) => text.endsWith('\n'))));
      const won = said.filter((text) => text.startsWith('won'));
      expect(won).toHaveLength(1);
      const pid = won[0]!.trim().split(' ')[1]!;
      expect(said.filter((text) => text === `lost daemon-already-running ${pid}\n`)).toHaveLength(contenders - 1);
      expect(pid).not.toBe(previous);
      previous = pid;
    } finally {
      // The winner dies without a word; the next round finds its lock.
      for (const p of procs) p.kill('SIGKILL');
      await Promise.all(procs.map(ended));
    }
  }
  expect(locks(folder)).toEqual(['instance-lock.10', 'instance-lock.9']);
}, 40_000);
