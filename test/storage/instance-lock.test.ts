import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { isAlive, ownIdentity } from '../../src/process-identity.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { acquireInstanceLock } from '../../src/storage/instance-lock.ts';
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

test('[EV1] fifty starts leave two files and no drafts', () => {
  const folder = folderOf();
  for (let i = 0; i < 50; i++) acquireInstanceLock(folder).release();
  expect(locks(folder)).toEqual(['instance-lock.49', 'instance-lock.50']);
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
  const proc = child('instance-lock.child.ts', folderOf());
  await saidUntil(proc, (text) => text.includes('ready'));
  expect(isAlive({ pid: proc.pid!, started: null })).toBe(true);
  proc.kill('SIGKILL');
  await ended(proc);
  expect(isAlive({ pid: proc.pid!, started: null })).toBe(false);
});

/** A contender that says `ready`, and what it said since it was last asked. */
const contender = (folder: string) => {
  const proc = child('instance-lock.child.ts', folder);
  cleanups.push(() => proc.kill('SIGKILL'));
  let text = '';
  let wake: () => void = () => undefined;
  proc.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    wake();
  });
  proc.stdout.on('end', () => {
    text += 'ended\n';
    wake();
  });
  const line = async (): Promise<string> => {
    while (!text.includes('\n')) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const [first, ...rest] = text.split('\n');
    text = rest.join('\n');
    return first ?? '';
  };
  return { proc, line, ask: (what: string) => proc.stdin.write(`${what}\n`) };
};

test('[EV1] of four processes that start at once exactly one wins, ten times over the lock of a killed one', async () => {
  const folder = folderOf();
  const shots = folderOf();
  let racers = Array.from({ length: 4 }, () => contender(folder));
  for (let round = 1; round <= 10; round++) {
    // Started while this round runs, so that the next need not wait for it.
    const spare = contender(folder);
    const shot = join(shots, String(round));
    for (const racer of racers) {
      expect(await racer.line()).toBe('ready');
      racer.ask(`race ${shot}`);
    }
    for (const racer of racers) expect(await racer.line()).toBe('set');
    writeFileSync(shot, '');
    const said = await Promise.all(racers.map((racer) => racer.line()));
    const winners = racers.filter((_, i) => said[i] === 'won');
    expect(winners).toHaveLength(1);
    const { proc } = winners[0]!;
    expect(said.filter((text) => text === `lost daemon-already-running ${proc.pid}`)).toHaveLength(3);
    // It dies without a word; the next round finds its lock.
    proc.kill('SIGKILL');
    await ended(proc);
    racers = [...racers.filter((racer) => racer.proc !== proc), spare];
  }
  expect(locks(folder)).toEqual(['instance-lock.10', 'instance-lock.9']);
}, 30_000);

test('[EV1] four processes that take and leave the lock hundreds of times never hold it together', async () => {
  const folder = folderOf();
  const shot = join(folderOf(), 'shot');
  const racers = Array.from({ length: 4 }, () => contender(folder));
  for (const racer of racers) {
    expect(await racer.line()).toBe('ready');
    racer.ask(`churn ${shot} 80`);
  }
  for (const racer of racers) expect(await racer.line()).toBe('set');
  writeFileSync(shot, '');
  const said = await Promise.all(racers.map((racer) => racer.line()));
  expect(said).toEqual(Array.from({ length: 4 }, () => 'held 80 times alone'));
  const left = locks(folder);
  expect(left).toHaveLength(2);
  expect(left).toContain('instance-lock.320');
}, 30_000);
