import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { ABSENT } from '../../src/operations/absent.ts';
import { CATALOGUE } from '../../src/operations/catalogue.ts';

/** docs/COMPATIBILITY.md is the account of every promise; here it is held to its own form, and to what there is. */
const page = readFileSync(new URL('../../docs/COMPATIBILITY.md', import.meta.url), 'utf8');

const SOURCES = new Set(['code', 'tests', 'recordings', 'docs', 'help site', 'new']);
const VERDICT = /^(?:honour|alias|differs|not carried over|added|accepted|kept)\b/;

const cellsOf = (line: string): string[] =>
  line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

interface Table {
  head: string[];
  rows: string[][];
}

const tables = (): Table[] => {
  const found: Table[] = [];
  let open: Table | null = null;
  for (const line of page.split('\n')) {
    if (!line.startsWith('|')) open = null;
    else if (open === null) {
      open = { head: cellsOf(line), rows: [] };
      found.push(open);
    } else if (!line.startsWith('|---')) open.rows.push(cellsOf(line));
  }
  return found;
};

const promises = tables().filter(({ head }) => head[0] === 'Promise');

/** `models.{dashboard, history}` names two. */
const named = new Set(
  [...page.matchAll(/`([^`\n]+)`/g)].flatMap(([, text = '']) => [
    text,
    ...[...text.matchAll(/([\w.-]*)\{([^}]*)\}/g)].flatMap(([, head = '', names = '']) =>
      names.split(/[,|]/).map((name) => head + name.trim()),
    ),
  ]),
);
const isNamed = (id: string): boolean =>
  named.has(id) || [...named].some((text) => text.split(/[^\w.*-]+/).some((word) => covers(word, id)));
/** `account.*` names all of a family. */
const covers = (word: string, id: string): boolean =>
  word === id || (word.endsWith('*') && word.length > 2 && id.startsWith(word.slice(0, -1)));

test('[GF3] every promise has who made it and one verdict, with its reason where it is not kept as it was', () => {
  expect(promises.length).toBeGreaterThan(20);
  const rows = promises.flatMap(({ head, rows: all }) => {
    expect(head).toEqual(['Promise', 'Source', 'Here']);
    return all;
  });
  expect(rows.length).toBeGreaterThan(400);
  expect(rows.filter((row) => row.length !== 3)).toEqual([]);
  expect(rows.filter(([, source]) => !source?.split(', ').every((name) => SOURCES.has(name)))).toEqual([]);
  expect(rows.filter(([, , here]) => !VERDICT.test(here ?? ''))).toEqual([]);
  const bare = rows.filter(([, , here]) => /^(?:differs|not carried over)\.?$/.test(here ?? ''));
  expect(bare).toEqual([]);
});

test('[GF3] what is not carried over has a reason and something to do instead', () => {
  const [gone, ...more] = tables().filter(({ head }) => head[0] === 'What');
  expect(more).toEqual([]);
  expect(gone?.rows.length).toBeGreaterThan(20);
  for (const [what, where, why] of gone?.rows ?? []) expect([what, where, why].every(Boolean), what).toBe(true);
});

test('[GF3] every command is on the page', () => {
  const program = buildProgram(createContext(), () => undefined);
  const visible = program.createHelp().visibleCommands(program);
  const names = visible.map((command) => command.name());
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(page))).toEqual([]);
});

test('[GF3] every named operation is on the page, those that old clients know and that are not here too', () => {
  const ids = [...Object.keys(CATALOGUE), ...Object.keys(ABSENT)];
  expect(ids.length).toBeGreaterThan(80);
  expect(ids.filter((id) => !isNamed(id))).toEqual([]);
});
