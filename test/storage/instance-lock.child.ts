import { closeSync, existsSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { OptaError } from '../../src/protocol/errors.ts';
import { acquireInstanceLock, type InstanceLock } from '../../src/storage/instance-lock.ts';

/**
 * A contender for the lock of a folder. `race <file>`: waits, spinning, until the file is there, tries once and says how it went; a
 * winner holds on until it is killed. `churn <file> <times>`: takes and leaves the lock so many times, and says whether it ever met
 * somebody else inside.
 */
const folder = process.argv[2]!;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const attempt = (): InstanceLock | OptaError => {
  try {
    return acquireInstanceLock(folder);
  } catch (cause) {
    if (cause instanceof OptaError) return cause;
    throw cause;
  }
};

const race = (): void => {
  const got = attempt();
  if (!(got instanceof OptaError)) return say('won');
  say(`lost ${got.code} ${String(got.facts.pid)}`);
  say('ready');
};

const churn = (times: number, shot: string): string => {
  const inside = `${shot}.inside`;
  for (let held = 0; held < times; ) {
    const lock = attempt();
    if (lock instanceof OptaError) {
      if (lock.code !== 'daemon-already-running') return `failed: ${lock.message}`;
      continue;
    }
    // Only one can make the mark: whoever finds it there is not alone.
    try {
      closeSync(openSync(inside, 'wx'));
    } catch (cause) {
      return `not alone: ${String(cause)}`;
    }
    held++;
    unlinkSync(inside);
    lock.release();
  }
  return `held ${times} times alone`;
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const [what, shot = '', times] = line.split(' ');
  say('set');
  while (!existsSync(join(shot)));
  if (what === 'race') race();
  else say(churn(Number(times), shot));
});
say('ready');
