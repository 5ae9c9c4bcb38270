import { type Task, test } from './task.ts';

/** Something is wanted that is not there yet. */
export const FEATURES: readonly Task[] = [
  {
    id: 'json-flag',
    prompt:
      'Give sum.mjs a flag --json: it then prints {"sum": N, "count": M} on one line and nothing else. Without the flag it must print what it prints today.',
    files: {
      'sum.mjs': `const numbers = process.argv.slice(2).map(Number);
const sum = numbers.reduce((a, b) => a + b, 0);
console.log(\`The sum of \${numbers.length} numbers is \${sum}\`);
`,
    },
    check: {
      'check.test.mjs': test(
        `const run = (...args) => execFileSync(process.execPath, ['sum.mjs', ...args], { encoding: 'utf8' });
test('with and without', () => {
  assert.equal(run('1', '2', '3'), 'The sum of 3 numbers is 6\\n');
  for (const args of [['--json', '1', '2'], ['1', '--json', '2'], ['1', '2', '--json']])
    assert.deepEqual(JSON.parse(run(...args)), { sum: 3, count: 2 });
  assert.equal(run('--json', '1').trim().split('\\n').length, 1);
});`,
        "import { execFileSync } from 'node:child_process';",
      ),
    },
    solution: {
      files: {
        'sum.mjs': `const args = process.argv.slice(2);
const numbers = args.filter((arg) => arg !== '--json').map(Number);
const sum = numbers.reduce((a, b) => a + b, 0);
if (args.includes('--json')) console.log(JSON.stringify({ sum, count: numbers.length }));
else console.log(\`The sum of \${numbers.length} numbers is \${sum}\`);
`,
      },
    },
  },
  {
    id: 'lru',
    prompt:
      'Cache in src/cache.mjs grows without end. Let its constructor take the greatest number of entries; above it the entry that was used (read or written) longest ago goes. has() is no use.',
    files: {
      'src/cache.mjs': `export class Cache {
  #entries = new Map();
  get(key) {
    return this.#entries.get(key);
  }
  set(key, value) {
    this.#entries.set(key, value);
  }
  has(key) {
    return this.#entries.has(key);
  }
  get size() {
    return this.#entries.size;
  }
}
`,
    },
    check: {
      'check.test.mjs': test(
        `test('the one that was used longest ago goes', () => {
  const cache = new Cache(2);
  cache.set('a', 1);
  cache.set('b', 2);
  assert.equal(cache.get('a'), 1);
  cache.has('b');
  cache.set('c', 3);
  assert.deepEqual(['a', 'b', 'c'].map((k) => cache.has(k)), [true, false, true]);
  cache.set('a', undefined);
  cache.set('d', 4);
  assert.deepEqual(['a', 'c', 'd'].map((k) => cache.has(k)), [true, false, true]);
  assert.equal(cache.size, 2);
});`,
        "import { Cache } from './src/cache.mjs';",
      ),
    },
    solution: {
      files: {
        'src/cache.mjs': `export class Cache {
  #entries = new Map();
  #max;
  constructor(max) {
    this.#max = max;
  }
  get(key) {
    if (!this.#entries.has(key)) return undefined;
    const value = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }
  set(key, value) {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value);
  }
  has(key) {
    return this.#entries.has(key);
  }
  get size() {
    return this.#entries.size;
  }
}
`,
      },
    },
  },
  {
    id: 'retry',
    prompt:
      'Write retry.mjs with `export const retry = async (run, { times, pauseMs, sleep })`: it calls run() up to `times` times until it does not throw, answers with its value, and throws the last error. Between tries it waits `await sleep(ms)`: pauseMs first, and twice as long each time. No wait after the last.',
    files: { 'README.md': '# tools\n' },
    check: {
      'check.test.mjs': test(
        `const failing = (n) => { let left = n; return async () => { if (left-- > 0) throw new Error('no ' + left); return 'yes'; }; };
test('retry', async () => {
  const waits = [];
  const sleep = async (ms) => void waits.push(ms);
  assert.equal(await retry(failing(3), { times: 5, pauseMs: 10, sleep }), 'yes');
  assert.deepEqual(waits, [10, 20, 40]);
  waits.length = 0;
  await assert.rejects(retry(failing(9), { times: 3, pauseMs: 1, sleep }), /no 6/);
  assert.deepEqual(waits, [1, 2]);
});`,
        "import { retry } from './retry.mjs';",
      ),
    },
    solution: {
      files: {
        'retry.mjs': `export const retry = async (run, { times, pauseMs, sleep }) => {
  for (let i = 1; ; i++) {
    try {
      return await run();
    } catch (cause) {
      if (i >= times) throw cause;
      await sleep(pauseMs * 2 ** (i - 1));
    }
  }
};
`,
      },
    },
  },
  {
    id: 'error-codes',
    prompt:
      'Callers of parsePort() in src/port.mjs cannot tell errors apart. Throw errors with a property `code`: "not-a-number" for text that is no whole number, "out-of-range" for one outside 1 to 65535. Good values go on as they are.',
    files: {
      'src/port.mjs': `export const parsePort = (text) => {
  const port = parseInt(text, 10);
  if (!port) throw new Error('bad port');
  return port;
};
`,
    },
    check: {
      'check.test.mjs': test(
        `test('codes', () => {
  for (const text of ['', 'x', '80x', '1.5', ' ']) assert.throws(() => parsePort(text), { code: 'not-a-number' }, text);
  for (const text of ['0', '65536', '-1', '99999999999999999999']) assert.throws(() => parsePort(text), { code: 'out-of-range' }, text);
  assert.deepEqual(['1', '8080', '65535'].map(parsePort), [1, 8080, 65535]);
});`,
        "import { parsePort } from './src/port.mjs';",
      ),
    },
    solution: {
      files: {
        'src/port.mjs': `const failure = (code, text) => Object.assign(new Error(\`\${code}: \${text}\`), { code });
export const parsePort = (text) => {
  if (!/^-?\\d+$/.test(text)) throw failure('not-a-number', text);
  const port = Number(text);
  if (port < 1 || port > 65535) throw failure('out-of-range', text);
  return port;
};
`,
      },
    },
  },
  {
    id: 'tests-that-fail',
    prompt:
      'slug() in slug.mjs has no tests. Write slug.test.mjs for `node --test`, so that it would find the usual mistakes: capitals, several spaces, signs, spaces at the ends, nothing at all. Do not change slug.mjs.',
    files: {
      'slug.mjs': `export const slug = (title) =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
`,
    },
    keep: ['slug.mjs'],
    check: {
      'check.check.mjs': test(
        `const WRONG = [
  "export const slug = (t) => t.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-+|-+$/g, '');",
  "export const slug = (t) => t.toLowerCase().replace(/[^a-z0-9]/g, '-').replace(/^-+|-+$/g, '');",
  "export const slug = (t) => t.toLowerCase().replace(/ +/g, '-').replace(/^-+|-+$/g, '');",
  "export const slug = (t) => t.toLowerCase().replace(/[^a-z0-9]+/g, '-');",
];
const { NODE_TEST_CONTEXT: _, ...env } = process.env;
const passes = () => spawnSync(process.execPath, ['--test', 'slug.test.mjs'], { stdio: 'ignore', env }).status === 0;
test('they pass, and fail for each mistake', () => {
  const right = readFileSync('slug.mjs', 'utf8');
  assert.ok(passes());
  for (const wrong of WRONG) {
    writeFileSync('slug.mjs', wrong);
    assert.ok(!passes(), wrong);
  }
  writeFileSync('slug.mjs', right);
});`,
        "import { spawnSync } from 'node:child_process';\nimport { readFileSync, writeFileSync } from 'node:fs';",
      ),
    },
    solution: {
      files: {
        'slug.test.mjs': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slug } from './slug.mjs';

test('slug', () => {
  for (const [title, is] of [['Hello World', 'hello-world'], ['a   b', 'a-b'], ['a, b! c', 'a-b-c'], [' x ', 'x'], ['', '']])
    assert.equal(slug(title), is);
});
`,
      },
    },
  },
  {
    id: 'each-cell-once',
    prompt:
      'countPaths() in paths.mjs takes for ever on larger grids, since it looks at the same cell again and again. Make it look at each cell once at most: visit(x, y) is called whenever a cell is looked at, and must go on being called. The results stay the same.',
    files: {
      'paths.mjs': `/** Ways from the upper left to the lower right, going right and down, around cells that are blocked. */
export const countPaths = (grid, visit = () => {}) => {
  const from = (x, y) => {
    if (y >= grid.length || x >= grid[0].length || grid[y][x] === '#') return 0n;
    visit(x, y);
    if (y === grid.length - 1 && x === grid[0].length - 1) return 1n;
    return from(x + 1, y) + from(x, y + 1);
  };
  return from(0, 0);
};
`,
    },
    check: {
      'check.test.mjs': test(
        `test('small', () => {
  assert.equal(countPaths(['...', '.#.', '...']), 2n);
  assert.equal(countPaths(['.']), 1n);
  assert.equal(countPaths(['.#', '#.']), 0n);
});
test('each cell once', () => {
  const seen = new Map();
  const grid = Array.from({ length: 24 }, () => '.'.repeat(24));
  const ways = countPaths(grid, (x, y) => {
    const at = x + ',' + y;
    assert.ok(!seen.has(at), at);
    seen.set(at, true);
  });
  assert.equal(ways, 8233430727600n);
  assert.equal(seen.size, 576);
});`,
        "import { countPaths } from './paths.mjs';",
      ),
    },
    solution: {
      files: {
        'paths.mjs': `/** Ways from the upper left to the lower right, going right and down, around cells that are blocked. */
export const countPaths = (grid, visit = () => {}) => {
  const known = new Map();
  const from = (x, y) => {
    if (y >= grid.length || x >= grid[0].length || grid[y][x] === '#') return 0n;
    const at = y * grid[0].length + x;
    const found = known.get(at);
    if (found !== undefined) return found;
    visit(x, y);
    const ways = y === grid.length - 1 && x === grid[0].length - 1 ? 1n : from(x + 1, y) + from(x, y + 1);
    known.set(at, ways);
    return ways;
  };
  return from(0, 0);
};
`,
      },
    },
  },
  {
    id: 'exports-map',
    prompt:
      'The package in this folder cannot be imported as "shapes", nor as "shapes/area". Correct package.json, and nothing else.',
    files: {
      'package.json': `{
  "name": "shapes",
  "version": "1.0.0",
  "type": "commonjs",
  "exports": { ".": "./lib/main.js" }
}
`,
      'lib/index.js': "export { area } from './area.js';\nexport const name = 'shapes';\n",
      'lib/area.js': 'export const area = (w, h) => w * h;\n',
    },
    keep: ['lib/index.js', 'lib/area.js'],
    check: {
      'check.test.mjs': test(
        `test('both', async () => {
  assert.equal((await import('shapes')).name, 'shapes');
  assert.equal((await import('shapes/area')).area(2, 3), 6);
});`,
      ),
    },
    solution: {
      files: {
        'package.json': `{
  "name": "shapes",
  "version": "1.0.0",
  "type": "module",
  "exports": { ".": "./lib/index.js", "./area": "./lib/area.js" }
}
`,
      },
    },
  },
];
