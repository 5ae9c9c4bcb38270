import { type Task, test } from './task.ts';

const each = (n: number, make: (i: number) => [string, string]) =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => make(i)));

/** What is there is to be changed without changing what it does, or only looked at. */
export const CHANGES: readonly Task[] = [
  {
    id: 'rename',
    prompt: 'Rename the function getUsr to getUser everywhere, also in the documentation. Nothing else changes.',
    files: {
      'src/users.mjs': 'export const getUsr = (id) => ({ id, name: `user ${id}` });\n',
      ...each(6, (i) => [
        `src/page${i}.mjs`,
        `import { getUsr } from './users.mjs';\nexport const page${i} = () => \`<b>\${getUsr(${i}).name}</b>\`;\n`,
      ]),
      'docs/api.md': '# API\n\n`getUsr(id)` answers with a user.\n',
      'src/other.mjs': 'export const getUsrCount = () => 3; // another function: it keeps its name\n',
    },
    keep: ['src/other.mjs'],
    check: {
      'check.test.mjs': test(
        `test('renamed', async () => {
  assert.equal(typeof (await import('./src/users.mjs')).getUser, 'function');
  for (let i = 0; i < 6; i++) assert.equal((await import('./src/page' + i + '.mjs'))['page' + i](), '<b>user ' + i + '</b>');
  for (const file of ['src/users.mjs', 'docs/api.md', ...Array.from({ length: 6 }, (_, i) => 'src/page' + i + '.mjs')])
    assert.doesNotMatch(readFileSync(file, 'utf8'), /getUsr\\b/, file);
  assert.match(readFileSync('docs/api.md', 'utf8'), /getUser\\(id\\)/);
});`,
        "import { readFileSync } from 'node:fs';",
      ),
    },
    solution: {
      files: {
        'src/users.mjs': 'export const getUser = (id) => ({ id, name: `user ${id}` });\n',
        ...each(6, (i) => [
          `src/page${i}.mjs`,
          `import { getUser } from './users.mjs';\nexport const page${i} = () => \`<b>\${getUser(${i}).name}</b>\`;\n`,
        ]),
        'docs/api.md': '# API\n\n`getUser(id)` answers with a user.\n',
      },
    },
  },
  {
    id: 'split',
    prompt:
      'Move the functions about text out of util.mjs into text.mjs, and those about numbers into number.mjs. util.mjs must go on exporting all of them, and hold no function itself.',
    files: {
      'util.mjs': `export const upper = (s) => s.toUpperCase();
export const half = (n) => n / 2;
export const reverse = (s) => [...s].reverse().join('');
export const isEven = (n) => half(n) === Math.floor(half(n));
`,
    },
    check: {
      'check.test.mjs': test(
        `test('three files', async () => {
  const [util, text, number] = await Promise.all(['./util.mjs', './text.mjs', './number.mjs'].map((f) => import(f)));
  assert.deepEqual(Object.keys(text).sort(), ['reverse', 'upper']);
  assert.deepEqual(Object.keys(number).sort(), ['half', 'isEven']);
  assert.equal(util.upper, text.upper);
  assert.equal(util.isEven, number.isEven);
  assert.deepEqual([util.upper('a'), util.half(3), util.reverse('ab'), util.isEven(4), util.isEven(3)], ['A', 1.5, 'ba', true, false]);
  assert.doesNotMatch(readFileSync('util.mjs', 'utf8'), /=>|function/);
});`,
        "import { readFileSync } from 'node:fs';",
      ),
    },
    solution: {
      files: {
        'util.mjs': "export { half, isEven } from './number.mjs';\nexport { reverse, upper } from './text.mjs';\n",
        'text.mjs':
          "export const upper = (s) => s.toUpperCase();\nexport const reverse = (s) => [...s].reverse().join('');\n",
        'number.mjs':
          'export const half = (n) => n / 2;\nexport const isEven = (n) => half(n) === Math.floor(half(n));\n',
      },
    },
  },
  {
    id: 'unused',
    prompt:
      'Some exports of lib.mjs are used by no other file of this repository. Remove those functions, and leave the others as they are.',
    files: {
      'lib.mjs': ['one', 'two', 'three', 'four', 'five'].map((n) => `export const ${n} = () => '${n}';\n`).join(''),
      'a.mjs': "import { one } from './lib.mjs';\nexport const a = one();\n",
      'b.mjs': "import * as lib from './lib.mjs';\nexport const b = lib.three();\n",
      'c.mjs': "// two is not used here\nexport const c = async () => (await import('./lib.mjs')).five();\n",
    },
    keep: ['a.mjs', 'b.mjs', 'c.mjs'],
    check: {
      'check.test.mjs': test(
        `test('what is left', async () => {
  assert.deepEqual(Object.keys(await import('./lib.mjs')).sort(), ['five', 'one', 'three']);
  assert.equal((await import('./a.mjs')).a + (await import('./b.mjs')).b + (await (await import('./c.mjs')).c()), 'onethreefive');
});`,
      ),
    },
    solution: {
      files: { 'lib.mjs': ['one', 'three', 'five'].map((n) => `export const ${n} = () => '${n}';\n`).join('') },
    },
  },
  {
    id: 'promises',
    prompt:
      'readBoth() in read.mjs takes a callback. Make it an async function readBoth(read, a, b), with the same order of calls (a, then b) and the first error thrown. `read` stays as it is, with a callback.',
    files: {
      'read.mjs': `export const readBoth = (read, a, b, done) => {
  read(a, (error, first) => {
    if (error) return done(error);
    read(b, (error2, second) => (error2 ? done(error2) : done(null, [first, second])));
  });
};
`,
    },
    check: {
      'check.test.mjs': test(
        `test('readBoth', async () => {
  const calls = [];
  const read = (name, done) => { calls.push(name); setImmediate(() => (name === 'bad' ? done(new Error('bad')) : done(null, name + '!'))); };
  assert.deepEqual(await readBoth(read, 'a', 'b'), ['a!', 'b!']);
  await assert.rejects(readBoth(read, 'bad', 'never'), /bad/);
  await assert.rejects(readBoth(read, 'x', 'bad'), /bad/);
  assert.deepEqual(calls, ['a', 'b', 'bad', 'x', 'bad']);
});`,
        "import { readBoth } from './read.mjs';",
      ),
    },
    solution: {
      files: {
        'read.mjs': `const promised = (read, name) =>
  new Promise((resolve, reject) => read(name, (error, value) => (error ? reject(error) : resolve(value))));

export const readBoth = async (read, a, b) => {
  const first = await promised(read, a);
  return [first, await promised(read, b)];
};
`,
      },
    },
  },
  {
    id: 'dead-links',
    prompt: 'Some links in docs/index.md lead to files that were moved within docs. Correct the links; move no file.',
    files: {
      'docs/index.md':
        '# Docs\n\n* [Install](install.md)\n* [Use](use.md)\n* [API](api.md#calls)\n* [Home](https://example.com/)\n',
      'docs/start/install.md': '# Install\n',
      'docs/use.md': '# Use\n',
      'docs/reference/api.md': '# API\n\n## Calls\n',
    },
    keep: ['docs/start/install.md', 'docs/use.md', 'docs/reference/api.md'],
    check: {
      'check.test.mjs': test(
        `test('links', () => {
  const links = [...readFileSync('docs/index.md', 'utf8').matchAll(/\\]\\(([^)]+)\\)/g)].map((m) => m[1]);
  assert.deepEqual(links.map((l) => l.replace(/^\\.\\//, '')), ['start/install.md', 'use.md', 'reference/api.md#calls', 'https://example.com/']);
});`,
        "import { readFileSync } from 'node:fs';",
      ),
    },
    solution: {
      files: {
        'docs/index.md':
          '# Docs\n\n* [Install](start/install.md)\n* [Use](use.md)\n* [API](reference/api.md#calls)\n* [Home](https://example.com/)\n',
      },
    },
  },
  {
    id: 'question',
    prompt:
      'Which function decides whether a request is refused for its rate, and how many requests a minute does it allow? Only answer; change nothing.',
    files: {
      'src/server.mjs':
        "import { gate } from './limits/gate.mjs';\nexport const serve = (request) => (gate(request) ? 'ok' : 'refused');\n",
      'src/limits/gate.mjs':
        "import { PER_MINUTE } from '../constants.mjs';\nexport const gate = ({ lastMinute }) => withinRate(lastMinute);\nconst withinRate = (count) => count < PER_MINUTE * 2;\n",
      'src/constants.mjs': 'export const PER_HOUR = 100;\nexport const PER_MINUTE = 60;\n',
    },
    keep: ['src/server.mjs', 'src/limits/gate.mjs', 'src/constants.mjs'],
    check: {},
    answer: /withinRate[\s\S]*120|120[\s\S]*withinRate/,
    solution: {
      files: {},
      says: 'withinRate in src/limits/gate.mjs decides; it allows 120 requests a minute (60 times two).',
    },
  },
];
