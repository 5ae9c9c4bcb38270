import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

// --- fences ----------------------------------------------------------------------------------------------------------

/**
 * Who may import whom inside `src`. A file belongs to the first row whose prefix it has; it may import what begins with one of
 * the row's targets. `*` is everything.
 */
const FENCES: readonly [of: string, may: readonly string[]][] = [
  ['protocol/', ['protocol/']],
  ['config/', ['config/', 'process-identity.ts', 'protocol/']],
  ['process-identity.ts', ['protocol/']],
  ['client/', ['client/', 'process-identity.ts', 'protocol/']],
  // They tell of the daemon as its clients find it: the state file, and whether it answers.
  [
    'operations/',
    [
      'operations/',
      'services/',
      'client/daemon-state.ts',
      'client/discover.ts',
      'config/',
      'process-identity.ts',
      'protocol/',
    ],
  ],
  // What the terminal and the page have in common: pictures of a session, without a screen.
  ['views/', ['views/', 'client/', 'protocol/']],
  ['tui/', ['tui/', 'views/', 'client/', 'protocol/']],
  ['web/', ['web/', 'views/', 'client/', 'protocol/']],
  ['cli/', ['cli/', 'client/', 'config/', 'operations/', 'protocol/', 'tui/', 'views/']],
  ['actors/limits.ts', []],
  ['actors/ports', ['actors/ports-processes.ts', 'protocol/']],
  ['actors/runtime.ts', ['actors/ports.ts', 'protocol/']],
  ['actors/domain/', ['actors/domain/', 'actors/ports.ts', 'actors/limits.ts', 'protocol/']],
  ['actors/messages.ts', ['actors/domain/', 'actors/ports.ts', 'actors/limits.ts', 'actors/runtime.ts', 'protocol/']],
  [
    'actors/machines/',
    ['actors/machines/', 'actors/domain/', 'actors/messages.ts', 'actors/ports.ts', 'actors/limits.ts', 'protocol/'],
  ],
  [
    'actors/effects/',
    [
      'actors/effects/',
      'actors/machines/',
      'actors/domain/',
      'actors/messages.ts',
      'actors/ports.ts',
      'actors/limits.ts',
      'actors/runtime.ts',
      'protocol/',
    ],
  ],
  ['actors/', ['actors/', 'protocol/']],
  ['storage/', ['storage/', 'process-identity.ts', 'actors/ports.ts', 'actors/limits.ts', 'protocol/']],
  ['inference/', ['inference/', 'actors/ports.ts', 'actors/limits.ts', 'protocol/']],
  // The inference server is a program of its own: it shares the transport port, the readers of answers, and the clock.
  [
    'lmx/',
    [
      'lmx/',
      'inference/',
      'transport/port.ts',
      'transport/auth.ts',
      'transport/origin.ts',
      'actors/ports.ts',
      'actors/limits.ts',
      'config/',
      'process-identity.ts',
      'protocol/',
    ],
  ],
  ['lmx-main.ts', ['*']],
  // Programs of others that lend their tools: they run beside ours, and are told of through the same port.
  ['services/', ['services/', 'tools/', 'actors/ports.ts', 'actors/limits.ts', 'config/', 'protocol/']],
  ['tools/', ['tools/', 'actors/ports.ts', 'actors/limits.ts', 'protocol/']],
  ['transport/', ['transport/', 'actors/ports.ts', 'actors/limits.ts', 'actors/runtime.ts', 'protocol/']],
  ['platform.ts', ['actors/ports.ts', 'actors/limits.ts', 'config/', 'protocol/']],
  ['main.ts', ['*']],
];

/** Packages that only these files may name. */
const PACKAGE_FENCES: readonly [name: RegExp, where: RegExp][] = [
  [/^uWebSockets\.js/, /^transport\/uws/],
  [/^lmdb$/, /^storage\//],
  [/^xstate/, /^(?:actors|lmx)\//],
  [/^@xstate\/store$/, /^(?:views|tui|web)\//],
  [/^marked$/, /^views\//],
  [/^preact/, /^web\//],
  [/^commander$/, /^cli\//],
  [/^ajv/, /^cli\//],
  [/^@napi-rs\/keyring$/, /^operations\//],
  [/^@modelcontextprotocol\//, /^(?:operations|services)\//],
  [/^reblessed$/, /^tui\//],
];

const BUDGET = { fileLinesMax: 400, dependenciesMax: 18 };

/** Lines of code a part may have (docs/decisions/0009). A file belongs to the first part that names its beginning. */
const PARTS: readonly [part: string, of: RegExp, linesMax: number][] = [
  ['machine descriptions', /^protocol\/describe\//, 1_300],
  // Pages and what they watch (docs/decisions/0010).
  [
    'web access and feeds',
    /^(?:protocol\/(?:feeds\/|operations\/(?:web|feeds)\.ts)|transport\/web\/|actors\/watch\/)/,
    1_500,
  ],
  ['core', /^(?:protocol|actors|storage|transport)\//, 14_000],
  ['inference', /^inference\//, 2_900],
  ['inference server', /^lmx\//, 4_800],
  ['tools', /^tools\//, 6_500],
  ['services', /^services\//, 1_200],
  ['client', /^client\//, 2_300],
  ['configuration', /^config\//, 1_750],
  ['named operations', /^operations\//, 4_000],
  ['command line', /^cli\//, 8_000],
  ['views', /^views\//, 1_500],
  ['terminal', /^tui\//, 4_500],
  ['page', /^web\//, 6_500],
  ['composition', /^[^/]+$/, 720],
];

const walk = (dir: string, keep: (name: string) => boolean): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : walk(path, keep);
    return keep(entry.name) ? [path] : [];
  });

const sources = walk(join(ROOT, 'src'), (name) => /\.tsx?$/.test(name)).map((path) => ({
  path,
  name: relative(join(ROOT, 'src'), path).replaceAll('\\', '/'),
  text: readFileSync(path, 'utf8'),
}));

/** `from '…'`, `import '…'` and `import('…')`. */
const importsOf = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)(['"])([^'"]+)\1/g)].map((m) => m[2] as string);

const violationsOf = (name: string, path: string, text: string): string[] => {
  const row = FENCES.find(([of]) => name.startsWith(of));
  if (!row) return [`${name}: no fence says what it may import`];
  return importsOf(text).flatMap((target) => {
    if (!target.startsWith('.')) {
      const fence = PACKAGE_FENCES.find(([pkg]) => pkg.test(target));
      return fence && !fence[1].test(name) ? [`${name} imports ${target}`] : [];
    }
    const to = relative(join(ROOT, 'src'), resolve(dirname(path), target)).replaceAll('\\', '/');
    // Facts about the package itself, such as its version.
    if (to.startsWith('..')) return [`${name} imports ${to}, which is outside src`];
    return row[1].some((prefix) => prefix === '*' || to.startsWith(prefix)) ? [] : [`${name} imports ${to}`];
  });
};

describe('imports', () => {
  test('go in the direction of the design and no other', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap(({ name, path, text }) => violationsOf(name, path, text))).toEqual([]);
  });

  test('the fence sees what crosses it', () => {
    const at = (name: string, text: string): string[] => violationsOf(name, join(ROOT, 'src', name), text);
    expect(at('client/x.ts', "import { a } from '../actors/ports.ts';")).toHaveLength(1);
    expect(at('cli/x.ts', "const a = await import('../storage/log.ts');")).toHaveLength(1);
    expect(at('transport/x.ts', "import uws from 'uWebSockets.js';")).toHaveLength(1);
    expect(at('transport/uws/x.ts', "import uws from 'uWebSockets.js';")).toEqual([]);
    expect(at('actors/domain/x.ts', "export * from '../machines/turn.ts';")).toHaveLength(1);
    expect(at('nowhere/x.ts', '')).toHaveLength(1);
  });
});

// --- size ------------------------------------------------------------------------------------------------------------

const linesOf = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);

describe('size', () => {
  test('no file of src is longer than 400 lines', () => {
    const long = sources.filter(({ text }) => linesOf(text) > BUDGET.fileLinesMax);
    expect(long.map(({ name, text }) => `${name}: ${linesOf(text)} lines`)).toEqual([]);
  });

  test('each part stays within its budget of code: blank lines and comments are free (docs/decisions/0005, 0009)', () => {
    const code = (text: string): number =>
      text.split('\n').filter((line) => !/^\s*(?:\/\/.*|\/?\*.*)?$/.test(line)).length;
    expect(code('a;\n\n// b\n/**\n * c\n */\n  d; // e\n')).toBe(2);
    const partOf = (name: string): string | undefined => PARTS.find(([, of]) => of.test(name))?.[0];
    expect(sources.filter(({ name }) => partOf(name) === undefined).map(({ name }) => name)).toEqual([]);
    const above = PARTS.flatMap(([part, , linesMax]) => {
      const lines = sources.reduce((sum, { name, text }) => sum + (partOf(name) === part ? code(text) : 0), 0);
      expect(lines, part).toBeGreaterThan(0);
      return lines > linesMax ? [`${part}: ${lines} of ${linesMax}`] : [];
    });
    expect(above).toEqual([]);
  });

  test('so do the runtime dependencies', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(Object.keys(dependencies).length).toBeLessThanOrEqual(BUDGET.dependenciesMax);
  });
});

// --- code ------------------------------------------------------------------------------------------------------------

const FORBIDDEN: readonly [what: string, pattern: RegExp][] = [
  ['any', /(?::|\bas|<|\|)\s*any\b(?!\s*['"`])/],
  ['an empty catch', /\bcatch\s*(?:\([^)]*\))?\s*\{\s*\}/],
  ['an empty catch', /\.catch\(\s*\(\s*\)\s*=>\s*\{\s*\}\s*\)/],
  ['a switched-off check', /@ts-(?:ignore|nocheck|expect-error)/],
];
/** In comments only: a program may search for the word. */
const LEFT_FOR_LATER = /(?:\/\/|\*).*\b(?:TODO|FIXME|XXX)\b/;

/** Comments and literals are prose: "any" is a word there. */
const codeOf = (text: string): string =>
  text
    .replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, '')
    .replace(/(^|\s)\/\/ .*$/gm, '$1')
    .replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, "''");

const offences = (name: string, text: string): string[] => [
  ...FORBIDDEN.flatMap(([what, pattern]) =>
    pattern.test(what === 'any' ? codeOf(text) : text) ? [`${name}: ${what}`] : [],
  ),
  ...(LEFT_FOR_LATER.test(text) ? [`${name}: something left for later`] : []),
];

describe('code', () => {
  test('no any, no empty catch, no switched-off check, nothing left for later', () => {
    expect(sources.flatMap(({ name, text }) => offences(name, text))).toEqual([]);
  });

  test('the search finds what it looks for', () => {
    expect(offences('x', 'const a: any = 1;')).toHaveLength(1);
    expect(offences('x', 'try { f(); } catch {}')).toHaveLength(1);
    expect(offences('x', 'try { f(); } catch (e) {\n}')).toHaveLength(1);
    expect(offences('x', 'try { f(); } catch {\n  // Gone is what it should be.\n}')).toEqual([]);
    expect(offences('x', '// @ts-ignore')).toHaveLength(1);
    expect(offences('x', '// TODO: later')).toHaveLength(1);
    expect(offences('x', "// takes any of them: any\nconst a = 'b: any | any TODO';")).toEqual([]);
  });
});

// --- what a clone holds ------------------------------------------------------------------------------------------------

const TEXT = /\.(ts|tsx|js|mjs|cjs|json|md|mmd|html|css|yml|yaml|sh|txt)$|^\.[a-z]+(rc|ignore)$|(^|\/)run$/;

/** Every file that is or would be part of a commit. */
const tracked = (): string[] => {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return [...new Set(list.split('\0'))].filter(
    (file) => file !== '' && TEXT.test(file) && existsSync(join(ROOT, file)),
  );
};

/** Built from parts, so that this file does not find itself. */
const MACHINE_PATH = new RegExp(`(?<![\\w.~/])/(?:${['wo', 'ro'].map((s, i) => s + ['rk', 'ot'][i]).join('|')})/[a-z]`);
const OCTETS = '\\.\\d{1,3}\\.\\d{1,3}';
const PRIVATE_ADDRESS = new RegExp(
  `(?<![\\d.])(?:10\\.\\d{1,3}${OCTETS}|192\\.168${OCTETS}|172\\.(?:1[6-9]|2\\d|3[01])${OCTETS})(?![\\d.])`,
);
/** The one place that names the owner's inference host, what describes it, and the tests of pure checks that refuse such addresses. */
const MAY_NAME_THE_HOST =
  /^(src\/config\/schema\.ts|docs\/.*|README\.md|test\/inference\/loopback-guard\.test\.ts|test\/transport\/access\.test\.ts)$/;

describe('a clone', () => {
  const inGit = existsSync(join(ROOT, '.git'));

  test.runIf(inGit)('names no folder of the machine that it was written on', () => {
    const bad = tracked().filter((file) => MACHINE_PATH.test(readFileSync(join(ROOT, file), 'utf8')));
    expect(bad).toEqual([]);
  });

  test.runIf(inGit)('names the default inference host once, and no other private address', () => {
    const bad = tracked().filter(
      (file) => !MAY_NAME_THE_HOST.test(file) && PRIVATE_ADDRESS.test(readFileSync(join(ROOT, file), 'utf8')),
    );
    expect(bad).toEqual([]);
  });

  test('the searches find what they look for', () => {
    expect(MACHINE_PATH.test(`see ${['', 'work', 'main'].join('/')}`)).toBe(true);
    expect(MACHINE_PATH.test('a/work/main')).toBe(false);
    expect(PRIVATE_ADDRESS.test(['192', '168', '1', '2'].join('.'))).toBe(true);
    expect(PRIVATE_ADDRESS.test(['10', '4', '0'].join('.'))).toBe(false);
  });

  test('the lock file names no registry: packages come from the one that the user has configured', () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: { [path: string]: { resolved?: string; version?: string } };
    };
    const bad = Object.entries(packages).filter(([, p]) => /^\w+:\/\//.test(p.resolved ?? ''));
    expect(bad.map(([path]) => path)).toEqual([]);
    expect(Object.keys(packages).length).toBeGreaterThan(20);
  });

  test.runIf(process.platform !== 'win32')('the scripts that are run by name can be run', () => {
    for (const file of ['.ci/run', 'bin/opta.js']) expect(statSync(join(ROOT, file)).mode & 0o100, file).not.toBe(0);
  });
});

// --- guarantees and tests ----------------------------------------------------------------------------------------------

const ID = '[A-Z]{2}\\d{1,2}';

/** A guarantee is a line of SPEC.md that starts with `**ID**` or `| ID |`; `(planned)` on it excuses the missing test. */
const guaranteesOf = (spec: string): Map<string, { planned: boolean }> =>
  new Map(
    spec.split('\n').flatMap((line): [string, { planned: boolean }][] => {
      const id = new RegExp(`^(?:[-*]\\s+)?(?:\\*\\*(${ID})\\*\\*|\\|\\s*\\**(${ID})\\**\\s*\\|)`).exec(line);
      const name = id?.[1] ?? id?.[2];
      return name === undefined ? [] : [[name, { planned: line.includes('(planned)') }]];
    }),
  );

/** The ids in brackets in the names of tests and suites. */
const idsOfTests = (text: string): string[] =>
  [
    ...text.matchAll(
      /\b(?:test|it|describe)(?:\.\w+(?:\((?:[^()]|\([^()]*\))*\))?)*\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g,
    ),
  ]
    .flatMap((m) => [...(m[2] as string).matchAll(new RegExp(`\\[((?:${ID})(?:[, ]+${ID})*)\\]`, 'g'))])
    .flatMap((m) => (m[1] as string).split(/[, ]+/));

describe('guarantees', () => {
  const specFile = join(ROOT, 'docs', 'SPEC.md');
  const spec = existsSync(specFile)
    ? guaranteesOf(readFileSync(specFile, 'utf8'))
    : new Map<string, { planned: boolean }>();
  const carried = new Map<string, string[]>();
  // This file is left out: it holds names of tests as examples.
  for (const path of walk(join(ROOT, 'test'), (name) => /\.test\.ts$/.test(name) && name !== 'architecture.test.ts')) {
    for (const id of idsOfTests(readFileSync(path, 'utf8'))) {
      carried.set(id, [...(carried.get(id) ?? []), relative(ROOT, path)]);
    }
  }

  test('docs/SPEC.md states them', () => {
    expect(spec.size).toBeGreaterThan(20);
  });

  test('each is carried by the name of at least one test, unless SPEC.md calls it planned', () => {
    expect([...spec].filter(([id, { planned }]) => !planned && !carried.has(id)).map(([id]) => id)).toEqual([]);
  });

  test('no test carries an id that SPEC.md does not state, and none carries a planned one', () => {
    const unknown = [...carried].filter(([id]) => !spec.has(id)).map(([id, files]) => `${id} in ${files[0]}`);
    const early = [...carried].filter(([id]) => spec.get(id)?.planned).map(([id]) => `${id} is planned, and tested`);
    expect([...unknown, ...early]).toEqual([]);
  });

  test('ids are found in names and nowhere else', () => {
    const text = [
      "test('[EV1] a', () => {});",
      "test.each([[1, f(2)]])('[EV2, EV3] %s', () => {});",
      'describe("[CX1] x", () => {});',
      "// [TQ1] in a comment\nexpect('[TQ2]').toBe(1);",
      "test.runIf(a === 'b')('[PM4] c', () => {});",
    ].join('\n');
    expect(idsOfTests(text)).toEqual(['EV1', 'EV2', 'EV3', 'CX1', 'PM4']);
    const lines = '**EV1** text\n| EV2 | text |\n- **EV3** (planned) x\nsee **EV4**';
    expect([...guaranteesOf(lines)]).toEqual([
      ['EV1', { planned: false }],
      ['EV2', { planned: false }],
      ['EV3', { planned: true }],
    ]);
  });
});
