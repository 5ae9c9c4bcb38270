import { lstatSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { readText } from '../config/layer.ts';
import { PROJECT_FILE } from '../config/project.ts';
import { OptaError } from '../protocol/errors.ts';

export interface Scaffold {
  workspace: string;
  created: string[];
  replaced: string[];
  /** There already; `force` replaces them. */
  kept: string[];
}

/**
 * Begins a project: its settings, and notes for whoever works in it. What is there already is kept unless `force` says otherwise. The
 * folder may come from a stranger, so no link is written through: what it leads to is not the project's.
 */
export const scaffold = (workspace: string, { force = false } = {}): Scaffold => {
  if (!isAbsolute(workspace) || !statSync(workspace, { throwIfNoEntry: false })?.isDirectory())
    throw new OptaError('invalid-request', `Not a folder with a whole path: ${workspace}`);
  const done: Scaffold = { workspace, created: [], replaced: [], kept: [] };
  for (const [name, text] of [
    [PROJECT_FILE, SETTINGS],
    ['AGENTS.md', notes(workspace)],
  ] as const) {
    const file = join(workspace, name);
    makeFolder(dirname(file), workspace);
    if (write(file, text)) done.created.push(name);
    else if (force) {
      remove(file);
      write(file, text);
      done.replaced.push(name);
    } else done.kept.push(name);
  }
  return done;
};

const makeFolder = (folder: string, workspace: string): void => {
  if (folder === workspace) return;
  try {
    mkdirSync(folder, { recursive: true });
    if (lstatSync(folder).isDirectory()) return;
  } catch (cause) {
    throw cannot(folder, cause);
  }
  throw new OptaError('invalid-request', `Cannot write into ${folder}: it is a link`);
};

/** False when something is there already. */
const write = (file: string, text: string): boolean => {
  try {
    writeFileSync(file, text, { flag: 'wx' });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cannot(file, cause);
  }
};

const remove = (file: string): void => {
  try {
    rmSync(file);
  } catch (cause) {
    throw cannot(file, cause);
  }
};

const cannot = (file: string, cause: unknown): OptaError =>
  new OptaError('invalid-request', `Cannot write ${file}: ${(cause as Error).message}`);

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
    const { name, scripts } = JSON.parse(readText(join(workspace, 'package.json')) ?? '{}') as {
      name?: unknown;
      scripts?: object;
    };
    const title = typeof name === 'string' ? name.replace(/\s+/g, ' ').trim() : '';
    return { name: title || fallback.name, scripts: Object.keys(scripts ?? {}) };
  } catch {
    // No package, or one that cannot be read: the folder has a name too.
    return fallback;
  }
};
