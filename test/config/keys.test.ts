import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { KEPT } from '../../src/config/kept.ts';
import { defaultOf, KEYS, nearest, typeOf } from '../../src/config/keys.ts';
import { ConfigSchema } from '../../src/config/schema.ts';
import { redacted } from '../../src/config/secrets.ts';

type Json = { type?: string; properties?: { [name: string]: Json } };

/** Leaves of the schema: objects with named members are sections, everything else is a key. */
const keysOf = (schema: Json, prefix = ''): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    inner.properties ? keysOf(inner, `${prefix}${name}.`) : [`${prefix}${name}`],
  );

test('every key of the schema has its row, and no row is without a key', () => {
  const schema = z.toJSONSchema(ConfigSchema, { io: 'input' }) as Json;
  expect(KEYS.map((row) => row.key).sort()).toEqual(keysOf(schema).sort());
  for (const { key, text } of KEYS) expect(text, key).toMatch(/^[A-Z].*[.]$/);
});

const page = (name: string): string[] =>
  readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8').split('\n');
const cell = (text: string): string => text.replaceAll('|', 'or');
const standardOf = (key: string): string => {
  const value = defaultOf(key);
  return value === undefined ? '–' : `\`${JSON.stringify(value)}\``;
};
const SECTIONS = [...new Set(KEYS.map(({ key }) => key.split('.')[0]))].join('|');
const rowsOf = (name: string): string[] =>
  page(name).filter((line) => new RegExp(`^\\| \`(?:${SECTIONS})(?:\\.[A-Za-z_.]+)?\` \\|`).test(line));

test('docs/OPERATIONS.md has exactly the rows of the keys', () => {
  const project = { counts: 'yes', narrows: '`deny`; others with trust', trusted: 'with trust', never: 'no' };
  const rows = KEYS.filter((row) => !row.kept).map(({ key, text, env, project: may }) => {
    const cells = [cell(typeOf(key)), standardOf(key), env ? `\`${env}\`` : '–', project[may], cell(text)];
    return `| \`${key}\` | ${cells.join(' | ')} |`;
  });
  expect(rowsOf('OPERATIONS.md')).toEqual(rows);
});

test('[CF6] docs/KEPT-KEYS.md has exactly the rows of the kept keys', () => {
  const rows = KEPT.map(
    ({ key, instead = '' }) => `| \`${key}\` | ${cell(typeOf(key))} | ${standardOf(key)} | ${cell(instead)} |`,
  );
  expect(rowsOf('KEPT-KEYS.md')).toEqual(rows);
});

test('[CF6] the default of every kept key is a value that may be set', () => {
  for (const { key, type, standard } of KEPT)
    if (standard !== undefined) expect(type.safeParse(standard), key).toMatchObject({ success: true });
});

test('secrets are covered, and nothing else is', () => {
  const config = ConfigSchema.parse({ connection: { apiKey: 'k' } });
  expect(redacted(config)).toEqual({ ...config, connection: { ...config.connection, apiKey: '(hidden)' } });
  expect(redacted(ConfigSchema.parse({}))).toEqual(ConfigSchema.parse({}));
});

test.each([
  ['permisions', 'permissions'],
  ['prot', 'port'],
  ['DEFAULT', 'default'],
  ['zzz', undefined],
])('%s was probably meant as %s', (name, expected) => {
  expect(nearest(name, ['permissions', 'port', 'default', 'host'])).toBe(expected);
});
