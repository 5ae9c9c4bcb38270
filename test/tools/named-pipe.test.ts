import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openBytes, readNamedPipe } from '../../src/tools/named-pipe.ts';
import { type Site, site, until } from './support.ts';

let at: Site;
beforeEach(() => {
  at = site();
});
afterEach(() => at.remove());

test('[BG7] wherever text is parted, what stands before the part that is open is whole', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.nat(200), (text, cut) => {
      const bytes = Buffer.from(text);
      const first = bytes.subarray(0, Math.min(cut, bytes.length));
      const whole = first.length - openBytes(first);
      expect(bytes.toString('utf8', 0, whole) + bytes.toString('utf8', whole)).toBe(text);
      expect(first.length - whole).toBeLessThan(4);
    }),
  );
  // What is no text is told as it is, and waits for nothing.
  expect(openBytes(Buffer.from([0x80, 0x80, 0x80, 0x80]))).toBe(0);
});

test('[BG7] a reader that leaves has told what it took, another goes on in the middle of a character, and the end is told once', async () => {
  const path = join(at.ws, 'pipe');
  execFileSync('mkfifo', [path]);
  const keeper = openSync(path, constants.O_RDWR);
  const said: string[] = [];
  let ends = 0;
  const first = readNamedPipe(path, (text) => said.push(text));
  const euro = Buffer.from('€');
  writeFileSync(keeper, Buffer.concat([Buffer.from('one '), euro.subarray(0, 2)]));
  await until('it is read', () => said.join('') === 'one ');
  first.leave();
  expect(existsSync(`${path}.rest`)).toBe(true);
  writeFileSync(keeper, Buffer.concat([euro.subarray(2), Buffer.from(' two')]));
  const second = readNamedPipe(path, (text) => said.push(text));
  second.onEnd(() => {
    ends += 1;
  });
  await until('the rest is read', () => said.join('') === 'one € two');
  expect([existsSync(`${path}.rest`), ends]).toEqual([false, 0]);
  execFileSync('sh', ['-c', 'printf " three" >"$1"', 'sh', path]);
  await until('it goes on', () => said.join('') === 'one € two three');
  closeSync(keeper);
  await until('the end', () => ends === 1);
  // One that comes when everybody has gone finds the end too.
  let late = false;
  readNamedPipe(path, () => undefined).onEnd(() => {
    late = true;
  });
  await until('the end again', () => late);
  expect(second.ended).toBe(true);
});
