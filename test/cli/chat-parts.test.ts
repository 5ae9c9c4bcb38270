import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { distance, nearest } from '../../src/cli/chat/distance.ts';
import { splitLines } from '../../src/cli/chat/lines.ts';
import { parseSlash, type Room, runSlash, usageOf } from '../../src/cli/chat/slash.ts';
import { SLASH } from '../../src/cli/chat/slash-table.ts';

describe('slash commands', () => {
  const names = SLASH.commands.flatMap(({ name, aliases }) => [name, ...aliases]);

  test('[CT5] no name stands for two things, and every one says how it is used', async () => {
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => Object.hasOwn(SLASH.elsewhere, name))).toEqual([]);
    for (const command of SLASH.commands) {
      let out = '';
      const say = (text: string): void => {
        out += text;
      };
      const room = { ctx: { output: { out: say, err: say } } } as unknown as Room;
      for (const name of [command.name, command.name.toUpperCase(), ...command.aliases]) {
        out = '';
        expect(await runSlash(SLASH, `/${name} --help`, room)).toBe(0);
        expect(out).toBe(usageOf(command));
      }
      expect(command.text.length).toBeGreaterThan(3);
    }
  });

  test('[CT5] the essential names of the old command line are there, or say where to go', () => {
    const essential =
      'help h ? exit quit q clear sessions model models plan review research explore auto autoaccept dangerous autonomy permissions perms perm undo checkpoint cp diff compact status config doctor debug daemon server cost tokens usage history stats analytics tag t rename title share image editor e agent profile keys format';
    const known = (name: string): boolean => names.includes(name) || Object.hasOwn(SLASH.elsewhere, name);
    expect(essential.split(' ').filter((name) => !known(name))).toEqual([]);
  });

  test('[CT5] a path is no command', () => {
    expect(parseSlash('/etc/passwd is odd')).toBeNull();
    expect(parseSlash('/tmp')).toEqual({ name: 'tmp', rest: '' });
    expect(parseSlash('/Model  a b\nc')).toEqual({ name: 'model', rest: 'a b\nc' });
    expect(parseSlash('/? x')).toEqual({ name: '?', rest: 'x' });
    expect(parseSlash('a /model')).toBeNull();
  });
});

describe('what was meant', () => {
  test.each([
    ['modle', ['model']],
    ['statsu', ['status', 'stats']],
    ['quueue', ['queue']],
    ['foo', []],
    ['zzzzzzzz', []],
  ])('[CT5] %s', (typed, meant) => {
    expect(nearest(typed, ['model', 'models', 'status', 'stats', 'queue', 'auto'])).toEqual(meant);
  });

  test('the distance is one: zero for equals, the same both ways, at most the longer of the two', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        expect(distance(a, a)).toBe(0);
        expect(distance(a, b)).toBe(distance(b, a));
        expect(distance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
        if (a !== b) expect(distance(a, b)).toBeGreaterThan(0);
      }),
    );
  });
});

test('[CT1] lines are the same however the input is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '😀', ' '), maxLength: 6 }), { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
      async (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
        const parts: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          parts.push(bytes.subarray(at, at + cut));
          at += cut;
        }
        parts.push(bytes.subarray(at));
        const seen: string[] = [];
        for await (const line of splitLines(Readable.from(parts.filter((p) => p.length > 0)))) seen.push(line);
        expect(seen).toEqual(lines);
      },
    ),
  );
});

test('[CT1] a line that no turn could hold ends the input with an error', async () => {
  const flood = Readable.from(Array.from({ length: 80 }, () => Buffer.alloc(64 << 10, 'x')));
  await expect(splitLines(flood).next()).rejects.toMatchObject({ code: 'payload-too-large' });
});
