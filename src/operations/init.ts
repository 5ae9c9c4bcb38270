import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { PROJECT_FILE } from '../config/project.ts';
import { OptaError } from '../protocol/errors.ts';

export interface Scaffold {
  workspace: string;
  created: string[];
  replaced: string[];
  /** There already; `force` replaces them. */
  kept: string[];
}

/** Begins a project: its settings, and notes for whoever works in it. What is there already is kept unless `force` says otherwise. */
export const scaffold = (workspace: string, { force = false } = {}): Scaffold => {
  if (!isAbsolute(workspace) || !statSync(workspace, { throwIfNoEntry: false })?.isDirectory())
    throw new OptaError('invalid-request', `Not a folder with a whole path: ${workspace}`);
  const done: Scaffold = { workspace, created: [], replaced: [], kept: [] };
  for (const [name, text] of [
    [PROJECT_FILE, SETTINGS],
    ['AGENTS.md', notes(workspace)],
  ] as const) {
    const file = join(workspace, name);
    mkdirSync(dirname(file), { recursive: true });
    if (write(file, text, 'wx')) done.created.push(name);
    else if (force) {
      write(file, text, 'w');
      done.replaced.push(name);
    } else done.kept.push(name);
  }
  return done;
};

/** False when the file is there and `wx` spares it. */
const write = (file: string, text: string, flag: 'w' | 'wx'): boolean => {
  try {
    writeFileSync(file, text, { flag });
    return true;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    throw new OptaError('invalid-request', `Cannot write ${file}: ${message}`);
  }
};

/** A deny rule counts in a project that nobody trusts yet. */
const SETTINGS = `${JSON.stringify(
  {
    permissions: {
      rules: ['*.env', '*.env.*', '*.pem'].map((path) => ({ tool: '*', path, action: 'deny' })),
    },
  },
  null,
  2,
)}\n`;

const notes = (workspace: string): string => {
  const { name, scripts } = packageOf(workspace);
  const commands = ['build', 'test', 'lint', 'check'].filter((script) => scripts.includes(script));
  const listed = commands.map((script) => `* \`npm run ${script}\``).join('\n');
  return `# ${name}

Notes for agents and people who change this project.

## What this is

One paragraph: what it does, for whom, and what it must never do.

## Commands

${listed || 'How to build it, and how to test it.'}

## Layout

What is where, and where new code goes.

## Rules

* Keep changes small and tested.
* Do not read or write secrets; \`.opta/config.json\` denies the usual files.
`;
};

const packageOf = (workspace: string): { name: string; scripts: string[] } => {
  const fallback = { name: basename(workspace) || 'Project', scripts: [] };
  try {
    const { name, scripts } = JSON.parse(readFileSync(join(workspace, 'package.json'), 'utf8')) as {
      name?: unknown;
      scripts?: object;
    };
    return { name: typeof name === 'string' && name ? name : fallback.name, scripts: Object.keys(scripts ?? {}) };
  } catch {
    // No package, or one that cannot be read: the folder has a name too.
    return fallback;
  }
};
