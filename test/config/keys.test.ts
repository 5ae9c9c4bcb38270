import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defaultOf, KEYS, nearest, redacted, typeOf } from '../../src/config/keys.ts';
import { ConfigSchema } from '../../src/config/schema.ts';

type Json = { type?: string; properties?: { [name: string]: Json } };

/** Leaves of the schema: objects with named members are sections, everything else is a key. */
const keysOf = (schema: Json, prefix = ''): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    inner.properties ? keysOf(inner, `${prefix}${name}.`) : [`${prefix}${name}`],
  );

test('every key of the schema has its row, and no row is without a key', () => {
  const schema = z.toJSONSchema(ConfigSchema, { io: 'input' }) as Json;
  expect(KEYS.map((row) => row.key)).toEqual(keysOf(schema));
  for (const { key, text } of KEYS) expect(text, key).toMatch(/^[A-Z].*[.]$/);
});

test('docs/OPERATIONS.md has exactly the rows of the keys', () => {
  const page = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8');
  const project = { counts: 'yes', narrows: '`deny`; others with trust', never: 'no' };
  const rows = KEYS.map(({ key, text, env, project: may }) => {
    const value = defaultOf(key);
    const standard = value === undefined ? '–' : `\`${JSON.stringify(value)}\``;
    const type = typeOf(key).replaceAll('|', 'or');
    return `| \`${key}\` | ${type} | ${standard} | ${env ? `\`${env}\`` : '–'} | ${project[may]} | ${text.replaceAll('|', 'or')} |`;
  });
  expect(
    page.split('\n').filter((line) => /^\| `(engine`|(connection|model|permissions|daemon|hostPolicy)\.)/.test(line)),
  ).toEqual(rows);
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
