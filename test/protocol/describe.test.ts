import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asyncapiSchemas from '@asyncapi/specs';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { closeCodes } from '../../src/protocol/describe/close-codes.ts';
import { DOCUMENTS, type DocumentName, documentPage } from '../../src/protocol/describe/documents.ts';
import { openapi } from '../../src/protocol/describe/openapi.ts';
import { eventSchema, OUTBOUND_FRAMES, STREAM_MESSAGES } from '../../src/protocol/describe/outbound.ts';
import { SchemaBook } from '../../src/protocol/describe/schema-book.ts';
import { ERRORS } from '../../src/protocol/errors.ts';
import { EVENTS, type EventName } from '../../src/protocol/events.ts';
import { InboundFrameSchema } from '../../src/protocol/frames.ts';
import { read } from '../../src/protocol/operations/operation.ts';
import { OPERATION_IDS, operation } from '../../src/protocol/operations.ts';

type Json = { [member: string]: unknown };
const NAMES = Object.keys(DOCUMENTS) as DocumentName[];
const documents = { openapi: DOCUMENTS.openapi(), asyncapi: DOCUMENTS.asyncapi() };
const at = (json: unknown, ...place: readonly string[]): unknown =>
  place.reduce((found, step) => (found as Json | undefined)?.[step], json);
const complain = (...said: unknown[]): never => {
  throw new Error(said.join(' '));
};
/** A format that nobody knows is a fault, not a remark. */
const noisy = { log: complain, warn: complain, error: complain };
/** Every object in a document, with its place. */
const walk = (
  json: unknown,
  visit: (o: Json, place: readonly string[]) => void,
  place: readonly string[] = [],
): void => {
  if (typeof json !== 'object' || json === null) return;
  if (!Array.isArray(json)) visit(json as Json, place);
  for (const [key, value] of Object.entries(json)) walk(value, visit, [...place, key]);
};
const HINT = 'give the field a value in src/protocol/describe/samples.ts, or the operation an example in examples.ts';

describe('the descriptions', () => {
  test('[DS1] stand in docs/api as they are served (node scripts/describe.mjs writes them), in less than 500 kB each', () => {
    const folder = fileURLToPath(new URL('../../docs/api/', import.meta.url));
    expect(readdirSync(folder).sort()).toEqual(NAMES.map((name) => `${name}.json`).sort());
    for (const name of NAMES) {
      const stored = readFileSync(`${folder}${name}.json`, 'utf8');
      expect(stored === documentPage(name), `docs/api/${name}.json is stale: node scripts/describe.mjs`).toBe(true);
      expect(stored.length).toBeLessThan(500_000);
    }
  });

  test('[DS5] are loaded by nothing but the handler that serves them, and by that when somebody asks', () => {
    const src = fileURLToPath(new URL('../../src/', import.meta.url));
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const naming = files
      .filter((name) => !name.startsWith('protocol/describe/'))
      .flatMap((name) =>
        [...readFileSync(`${src}${name}`, 'utf8').matchAll(/^.*\/describe\/.*$/gm)].map(
          ([line]) => `${name}: ${line.trim()}`,
        ),
      );
    expect(naming).toEqual([
      "transport/handlers/api.ts: import type { DocumentName } from '../../protocol/describe/documents.ts';",
      "transport/handlers/api.ts: const { documentText } = await import('../../protocol/describe/documents.ts');",
    ]);
  });

  test('[DS2] every reference in them leads somewhere', () => {
    for (const name of NAMES) {
      let count = 0;
      walk(documents[name], ({ $ref }, place) => {
        if (typeof $ref !== 'string') return;
        count += 1;
        const steps = $ref.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
        expect(steps[0], place.join('/')).toBe('#');
        expect(at(documents[name], ...steps.slice(1)), `${place.join('/')}: ${$ref}`).toBeDefined();
      });
      expect(count).toBeGreaterThan(100);
    }
  });

  test('[DS1] what JSON Schema cannot say is refused, not left out', () => {
    const book = new SchemaBook();
    expect(() => book.of(z.object({ at: z.date() }), 'output')).toThrow(/Date/);
    const Tree = z.object({
      get parts() {
        return z.array(Tree);
      },
    });
    expect(() => book.of(z.object({ tree: Tree }), 'output')).toThrow(/needs a name/);
    expect(() => book.of(Tree, 'output')).toThrow(/needs a name/);
    // Only where a query value is looked at for being a number: what comes out of a transform is described as what goes in.
    expect(book.parameter(z.string().transform((text) => new Date(text)))).toEqual({ type: 'string' });
  });
});

describe('OpenAPI', () => {
  const document = documents.openapi;

  test('[DS2] is valid by its own schema, and by the recommended rules of a linter without one exception', async () => {
    expect(await new Validator().validate(structuredClone(document))).toEqual({ valid: true });
    expect(document.openapi).toBe('3.1.1');
    const fetching = vi.spyOn(globalThis, 'fetch');
    const config = await createConfig({ extends: ['recommended'] });
    const lint = async (source: object) => {
      const problems = await lintFromString({ source: JSON.stringify(source), config, absoluteRef: '/openapi.json' });
      return problems.map((p) => `${p.severity} ${p.ruleId}: ${p.message} at ${p.location[0]?.pointer}`);
    };
    expect(await lint(document)).toEqual([]);
    expect(fetching).not.toHaveBeenCalled();
    // The linter sees what is wrong.
    const faulty = { ...document, security: [{ none: [] }] };
    expect(await lint(faulty)).toContainEqual(expect.stringMatching(/^error security-defined/));
  });

  test('[DS1] has each operation of the table under its id, its first path as the one to use, and no other', () => {
    const found: { [id: string]: string[] } = {};
    for (const [path, methods] of Object.entries(document.paths as { [path: string]: { [method: string]: Json } })) {
      for (const [method, op] of Object.entries(methods)) {
        const id = String(op.operationId).replace(/-\d+$/, '');
        expect(op.deprecated ?? false).toBe(op.operationId !== id);
        expect(op['x-opta-safety']).toBe(operation(id as never).safety);
        expect(op.security ?? 'token').toEqual(operation(id as never).open ? [] : 'token');
        found[id] = [...(found[id] ?? []), `${method.toUpperCase()} ${path}`];
      }
    }
    const table = OPERATION_IDS.map((id) => {
      const { method, paths } = operation(id);
      return [id, paths.map((path) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)] as const;
    });
    expect(found).toEqual(Object.fromEntries(table));
    const ids = Object.keys(ERRORS);
    expect(at(document, 'components', 'schemas', 'ErrorCode', 'enum')).toEqual(ids);
    expect(at(document, 'components', 'schemas', 'ErrorCode', 'x-opta-errors')).toEqual(ERRORS);
  });

  test('[DS2] each example of a request is one that the daemon takes', () => {
    for (const id of OPERATION_IDS) {
      const { body, params, query, headers, paths, method, row } = { ...operation(id), row: operation(id) };
      const path = paths[0].replaceAll(/:(\w+)/g, '{$1}');
      const op = at(document, 'paths', path, method.toLowerCase()) as Json;
      const parameters = (op.parameters ?? []) as { name: string; in: string; example: unknown; required?: boolean }[];
      const valuesIn = (where: string) =>
        Object.fromEntries(parameters.filter((p) => p.in === where).map((p) => [p.name, String(p.example)]));
      expect(params.safeParse(valuesIn('path')).error, `${id}, path: ${HINT}`).toBeUndefined();
      expect(query.safeParse(valuesIn('query')).error, `${id}, query: ${HINT}`).toBeUndefined();
      for (const field of Object.values(headers ?? {})) {
        const header = Object.entries(valuesIn('header')).find(([name]) => row.headers?.[name.toLowerCase()] === field);
        expect(header, `${id}: ${field}`).toBeDefined();
      }
      if (!body) continue;
      const example = at(op, 'requestBody', 'content', 'application/json', 'example');
      expect(body.safeParse(example).error, `${id}, body: ${HINT}`).toBeUndefined();
    }
  });

  test('[DS2] each example fits the schema beside it', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true, logger: noisy });
    ajv.addSchema({ ...document, $id: 'https://opta.invalid/openapi.json' });
    let count = 0;
    walk(document, (o, place) => {
      if (!('schema' in o) || !('example' in o || 'examples' in o)) return;
      const pointer = [...place, 'schema'].map((s) =>
        encodeURIComponent(s.replaceAll('~', '~0').replaceAll('/', '~1')),
      );
      const fits = ajv.compile({ $ref: `https://opta.invalid/openapi.json#/${pointer.join('/')}` });
      const all =
        'example' in o
          ? [o.example]
          : Object.values(o.examples as { [name: string]: { value: unknown } }).map((e) => e.value);
      for (const example of all) {
        count += 1;
        expect(fits(example) ? '' : ajv.errorsText(fits.errors), `${place.join(' ')}: ${HINT}`).toBe('');
      }
    });
    expect(count).toBeGreaterThan(150);
  });

  test('[DS1] a row is all that a new operation needs', () => {
    const row = {
      ...read,
      summary: 'New',
      paths: ['/v3/new/:size'] as const,
      params: z.object({ size: z.string().regex(/^[a-z]+$/) }),
      response: z.object({
        colour: z.enum(['red', 'blue']),
        wide: z.boolean(),
        parts: z.array(z.object({ n: z.number() })),
      }),
    };
    const described = openapi({ 'new.one': row });
    expect(at(described, 'paths', '/v3/new/{size}', 'get')).toMatchObject({
      operationId: 'new.one',
      tags: ['new'],
      responses: {
        200: { content: { 'application/json': { example: { colour: 'red', wide: true, parts: [{ n: 1 }] } } } },
        504: { $ref: '#/components/responses/504.timeout' },
      },
    });
    const nameless = { ...row, params: z.object({}) };
    expect(() => openapi({ 'new.one': nameless })).toThrow(
      'new.one: the schema of its params does not have the size of its path',
    );
  });
});

describe('AsyncAPI', () => {
  const document = documents.asyncapi;
  const messages = at(document, 'components', 'messages') as { [name: string]: Json };

  test('[DS2] is valid by its own schema and by the recommended rules of a linter', async () => {
    const schema = structuredClone(asyncapiSchemas.schemas['3.0.0']) as unknown as { definitions: Json };
    // The validator knows the schema of schemas by itself, and takes no second one of the same name.
    delete schema.definitions['http://json-schema.org/draft-07/schema'];
    const ajv = new Ajv({ strict: false, allErrors: true });
    (formats as unknown as { default: (to: Ajv) => void }).default(ajv);
    const fits = ajv.compile(schema);
    expect(fits(document) ? '' : ajv.errorsText(fits.errors)).toBe('');
    expect(fits({ ...document, channels: { socket: { address: 7 } } })).toBe(false);
    const rules = {
      // A licence of this version of AsyncAPI has a URL and no identifier; ours is one line and has no page.
      'info-license-strict': 'off',
    } as const;
    const config = await createConfig({ extends: ['recommended'], rules });
    const problems = await lintFromString({ source: JSON.stringify(document), config, absoluteRef: '/asyncapi.json' });
    expect(problems.map((p) => `${p.severity} ${p.ruleId}: ${p.message} at ${p.location[0]?.pointer}`)).toEqual([]);
  }, 60_000);

  test('[DS1] has a message for each event, each command and each other frame', () => {
    const commands = InboundFrameSchema.options.map((o) => `command.${o.shape.type.value}`);
    const all = [...Object.keys(EVENTS), ...commands, ...Object.keys(OUTBOUND_FRAMES), 'health'];
    const feeds = Object.keys(STREAM_MESSAGES);
    expect(Object.keys(messages).sort()).toEqual([...all, ...feeds].sort());
    expect(Object.keys(at(document, 'channels', 'socket', 'messages') as object)).toHaveLength(all.length - 1);
  });

  test('[DS2] the messages of an operation are messages of its channel, and each message is used', () => {
    const used = new Set<string>();
    const operations = document.operations as { [name: string]: Json };
    for (const [name, op] of Object.entries(operations)) {
      for (const part of [op, ...(op.reply ? [op.reply as Json] : [])]) {
        const channel = (part.channel as { $ref: string }).$ref;
        const refs = part.messages as { $ref: string }[];
        expect(refs.length, name).toBeGreaterThan(0);
        for (const { $ref } of refs) {
          expect($ref.startsWith(`${channel}/messages/`), `${name}: ${$ref}`).toBe(true);
          used.add($ref.split('/').at(-1) as string);
        }
      }
      expect(['send', 'receive']).toContain(op.action);
    }
    expect([...used].sort()).toEqual(Object.keys(messages).sort());
  });

  test('[DS2] each example fits its own message and no other, and the daemon takes each command', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    ajv.addSchema({ ...document, $id: 'https://opta.invalid/asyncapi.json' });
    const fits = (name: string) =>
      ajv.compile({ $ref: `https://opta.invalid/asyncapi.json#/components/messages/${name}/payload` });
    const compiled = Object.keys(messages).map((name) => ({ name, fits: fits(name) }));
    for (const [name, { examples }] of Object.entries(messages)) {
      const [{ payload }] = examples as [{ payload: unknown }];
      const own = compiled.find((c) => c.name === name);
      own?.fits(payload);
      expect(ajv.errorsText(own?.fits.errors), name).toBe('No errors');
      expect(compiled.filter((c) => c.fits(payload)).map((c) => c.name)).toEqual([name]);
      if (name.startsWith('command.')) expect(InboundFrameSchema.safeParse(payload).error, name).toBeUndefined();
      if (name in EVENTS) expect(eventSchema(name as EventName).safeParse(payload).error, name).toBeUndefined();
    }
  });

  test('[DS1] the close codes are those of docs/PROTOCOL.md', () => {
    const page = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
    const table = page.slice(page.indexOf('### Close codes'), page.indexOf('## Event streams'));
    const written = [...table.matchAll(/^\| (\d{4}(?:, \d{4})*) \|/gm)].flatMap(([, codes = '']) => codes.split(', '));
    expect(written.map(Number).sort()).toEqual(
      closeCodes()
        .map(({ code }) => code)
        .sort(),
    );
    expect(at(document, 'channels', 'socket', 'x-opta-close-codes')).toEqual(closeCodes());
  });
});
