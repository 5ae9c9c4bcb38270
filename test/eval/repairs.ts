import { type Task, test } from './task.ts';

/** Something is wrong, and is to be put right. */
export const REPAIRS: readonly Task[] = [
  {
    id: 'last-page',
    prompt: 'The last page of paginate() is missing when the items do not fill it. Fix it. Pages are counted from 1.',
    files: {
      'src/paginate.mjs': `export const pages = (items, size) => Math.floor(items.length / size);

export const paginate = (items, size, page) => {
  if (page < 1 || page > pages(items, size)) return [];
  return items.slice((page - 1) * size, page * size);
};
`,
    },
    check: {
      'check.test.mjs': test(
        `test('pages', () => {
  const all = Array.from({ length: 7 }, (_, i) => i);
  assert.equal(pages(all, 3), 3);
  assert.deepEqual(paginate(all, 3, 3), [6]);
  assert.deepEqual(paginate(all, 3, 4), []);
  assert.deepEqual(paginate(all, 3, 0), []);
  assert.equal(pages([], 3), 0);
  assert.deepEqual(paginate(all.slice(0, 6), 3, 2), [3, 4, 5]);
  assert.equal(pages(all.slice(0, 6), 3), 2);
});`,
        "import { pages, paginate } from './src/paginate.mjs';",
      ),
    },
    solution: {
      files: {
        'src/paginate.mjs': `export const pages = (items, size) => Math.ceil(items.length / size);

export const paginate = (items, size, page) => {
  if (page < 1 || page > pages(items, size)) return [];
  return items.slice((page - 1) * size, page * size);
};
`,
      },
    },
  },
  {
    id: 'leap-year',
    prompt: 'daysInMonth() is wrong for some Februaries, such as those of 1900 and 2000. Correct it.',
    files: {
      'calendar.mjs': `const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** month: 1 to 12 */
export const daysInMonth = (year, month) => (month === 2 && year % 4 === 0 && year !== 2000 ? 29 : DAYS[month - 1]);
`,
    },
    check: {
      'check.test.mjs': test(
        `test('februaries', () => {
  for (const [year, days] of [[1900, 28], [2000, 29], [2004, 29], [2023, 28], [2100, 28], [2400, 29]])
    assert.equal(daysInMonth(year, 2), days, String(year));
  assert.equal(daysInMonth(2024, 4), 30);
});`,
        "import { daysInMonth } from './calendar.mjs';",
      ),
    },
    solution: {
      files: {
        'calendar.mjs': `const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const isLeap = (year) => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
/** month: 1 to 12 */
export const daysInMonth = (year, month) => (month === 2 && isLeap(year) ? 29 : DAYS[month - 1]);
`,
      },
    },
  },
  {
    id: 'merge-prototype',
    prompt:
      'merge() lets a JSON file change every object of the program through "__proto__" or "constructor". Close that hole; other keys must go on working, nested ones too.',
    files: {
      'merge.mjs': `export const merge = (under, over) => {
  for (const key in over) {
    if (typeof over[key] === 'object' && over[key] !== null) under[key] = merge(under[key] ?? {}, over[key]);
    else under[key] = over[key];
  }
  return under;
};
`,
    },
    check: {
      'check.test.mjs': test(
        `test('merge', () => {
  merge({}, JSON.parse('{"__proto__": {"polluted": 1}}'));
  merge({}, JSON.parse('{"constructor": {"prototype": {"polluted": 1}}}'));
  merge({}, JSON.parse('{"a": {"__proto__": {"polluted": 1}}}'));
  assert.equal({}.polluted, undefined);
  assert.deepEqual(merge({ a: { b: 1, c: 2 }, d: 1 }, { a: { b: 3 }, e: null }), { a: { b: 3, c: 2 }, d: 1, e: null });
});`,
        "import { merge } from './merge.mjs';",
      ),
    },
    solution: {
      files: {
        'merge.mjs': `const UNSAFE = new Set(['__proto__', 'constructor', 'prototype']);
export const merge = (under, over) => {
  for (const key of Object.keys(over)) {
    if (UNSAFE.has(key)) continue;
    if (typeof over[key] === 'object' && over[key] !== null) under[key] = merge(under[key] ?? {}, over[key]);
    else under[key] = over[key];
  }
  return under;
};
`,
      },
    },
  },
  {
    id: 'double-fetch',
    prompt:
      'cached() in src/cached.mjs calls the loader twice when the same key is asked for twice at once. It should be called once; a loader that fails must be called again the next time.',
    files: {
      'src/cached.mjs': `export const cached = (load) => {
  const known = new Map();
  return async (key) => {
    if (known.has(key)) return known.get(key);
    const value = await load(key);
    known.set(key, value);
    return value;
  };
};
`,
    },
    check: {
      'check.test.mjs': test(
        `test('once', async () => {
  let calls = 0;
  const get = cached(async (key) => { calls++; await null; return key + calls; });
  const [first, second, other] = await Promise.all([get('a'), get('a'), get('b')]);
  assert.equal(first, second);
  assert.match(other, /^b/);
  await get('a');
  assert.equal(calls, 2);
});
test('again after a failure', async () => {
  let calls = 0;
  const get = cached(async () => { if (calls++ === 0) throw new Error('down'); return 'up'; });
  const both = await Promise.allSettled([get('a'), get('a')]);
  assert.deepEqual(both.map((b) => b.status), ['rejected', 'rejected']);
  assert.equal(await get('a'), 'up');
  assert.equal(calls, 2);
});`,
        "import { cached } from './src/cached.mjs';",
      ),
    },
    solution: {
      files: {
        'src/cached.mjs': `export const cached = (load) => {
  const known = new Map();
  return (key) => {
    if (known.has(key)) return known.get(key);
    const value = Promise.resolve().then(() => load(key));
    known.set(key, value);
    value.catch(() => known.delete(key));
    return value;
  };
};
`,
      },
    },
  },
  {
    id: 'escape-html',
    prompt: 'escapeHtml() forgets some signs that matter in attributes, and escapes one sign twice. Fix it.',
    files: {
      'html.mjs': `export const escapeHtml = (text) => text.replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/&/g, '&amp;');
`,
    },
    check: {
      'check.test.mjs': test(
        `test('escape', () => {
  assert.equal(escapeHtml('a < b & c > d'), 'a &lt; b &amp; c &gt; d');
  assert.equal(escapeHtml('&lt;'), '&amp;lt;');
  for (const sign of ['"', "'"]) assert.doesNotMatch(escapeHtml(\`x\${sign}y\`), new RegExp(sign));
  assert.equal(escapeHtml('plain'), 'plain');
});`,
        "import { escapeHtml } from './html.mjs';",
      ),
    },
    solution: {
      files: {
        'html.mjs': `const NAMES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (text) => text.replace(/[&<>"']/g, (sign) => NAMES[sign]);
`,
      },
    },
  },
  {
    id: 'csv-quotes',
    prompt:
      'parseLine() of csv.mjs breaks when a field is quoted and holds a comma, a quote ("") or nothing. Make it right.',
    files: {
      'csv.mjs': `/** One line of CSV as its fields. */
export const parseLine = (line) => line.split(',').map((field) => field.trim());
`,
    },
    check: {
      'check.test.mjs': test(
        `test('fields', () => {
  assert.deepEqual(parseLine('a,b,c'), ['a', 'b', 'c']);
  assert.deepEqual(parseLine('"a,b",c'), ['a,b', 'c']);
  assert.deepEqual(parseLine('"say ""hi""",x'), ['say "hi"', 'x']);
  assert.deepEqual(parseLine('a,,'), ['a', '', '']);
  assert.deepEqual(parseLine('"",b'), ['', 'b']);
});`,
        "import { parseLine } from './csv.mjs';",
      ),
    },
    solution: {
      files: {
        'csv.mjs': `/** One line of CSV as its fields. */
export const parseLine = (line) => {
  const fields = [''];
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const sign = line[i];
    if (sign === '"' && quoted && line[i + 1] === '"') fields[fields.length - 1] += line[++i];
    else if (sign === '"') quoted = !quoted;
    else if (sign === ',' && !quoted) fields.push('');
    else fields[fields.length - 1] += sign;
  }
  return fields;
};
`,
      },
    },
  },
  {
    id: 'conflict',
    prompt:
      'settings.json was left with conflict markers by a merge. Keep both sides: the port of "ours" and the new key of "theirs". It must be valid JSON.',
    files: {
      'settings.json': `{
  "name": "service",
<<<<<<< ours
  "port": 8081
=======
  "port": 8080,
  "timeout": 30
>>>>>>> theirs
}
`,
    },
    check: {
      'check.test.mjs': test(
        `test('settings', () => {
  const text = readFileSync('settings.json', 'utf8');
  assert.deepEqual(JSON.parse(text), { name: 'service', port: 8081, timeout: 30 });
});`,
        "import { readFileSync } from 'node:fs';",
      ),
    },
    solution: {
      files: { 'settings.json': '{\n  "name": "service",\n  "port": 8081,\n  "timeout": 30\n}\n' },
    },
  },
];
