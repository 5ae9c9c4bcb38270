import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { LIMITS } from '../../src/actors/limits.ts';
import { CONTRACT } from '../../src/protocol/envelope.ts';
import { ERRORS, type ErrorCode, errorRow } from '../../src/protocol/errors.ts';
import { EVENTS, type EventName, ResolveReasonSchema } from '../../src/protocol/events.ts';
import { InboundFrameSchema } from '../../src/protocol/frames.ts';
import { COMMON_ERRORS, OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { SessionSnapshotSchema } from '../../src/protocol/session.ts';
import { ModeSchema, OnBusySchema, OverridesSchema, StatsSchema, SubmitTurnSchema } from '../../src/protocol/turn.ts';

/** The page is written by hand and compared with the tables, so that it cannot fall behind them. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(ROOT, 'docs', 'PROTOCOL.md'), 'utf8');

/** From a heading to the next of its own or a higher level. Throws when there is none. */
const section = (heading: string): string => {
  const lines = page.split('\n');
  const at = lines.indexOf(heading);
  if (at < 0) throw new Error(`no heading ${heading}`);
  const level = heading.indexOf(' ');
  const ends = lines.findIndex((line, i) => i > at && /^#{1,6} /.test(line) && line.indexOf(' ') <= level);
  return lines.slice(at, ends < 0 ? undefined : ends).join('\n');
};

/** The cells of the table rows of a text, the line under a table's head left out. */
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s|:-]+\|$/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

/** The row that begins with a word in code marks. */
const row = (text: string, word: string): string[] | undefined => rows(text).find(([first]) => first === `\`${word}\``);

const keysOf = (schema: z.ZodType): string[] => Object.keys((schema as z.ZodObject).shape);
const missing = (text: string, words: readonly string[]): string[] =>
  words.filter((word) => !new RegExp(`(?<![\\w.-])${word.replaceAll('.', '\\.')}(?![\\w-]|\\.\\w)`).test(text));

/** The inference host's operations fail alike, and have a part of their own for it. */
const ownPart = (id: string): string => (id.startsWith('lmx.') ? section('### The inference host') : '');

describe('docs/PROTOCOL.md, control plane', () => {
  const text = section('## Control plane');

  test('[AU1] each operation stands in the table with its method, paths and status, and the table has no other', () => {
    for (const id of OPERATION_IDS) {
      const op = operation(id);
      const cells = row(text, id);
      expect(cells, id).toBeDefined();
      expect(cells?.[1], id).toBe(`\`${op.method} ${op.paths[0]}\``);
      expect(cells?.[3]?.startsWith(`${op.status} `), id).toBe(true);
      for (const path of op.paths) expect(text, id).toContain(`\`${op.method} ${path}\``);
    }
    const written = rows(text)
      .filter(([, request]) => /^`(GET|POST|PATCH|DELETE) /.test(request ?? ''))
      .flatMap(([id]) => (id === '' ? [] : [id]));
    expect(written).toEqual(OPERATION_IDS.map((id) => `\`${id}\``));
  });

  test('[AC1] the operations that need no token are named, and no other is', () => {
    const open = OPERATION_IDS.filter((id) => operation(id).open).map(
      (id) => `${operation(id).method} ${operation(id).paths[0]}`,
    );
    expect(section('## Get in')).toContain(
      `Everything but ${open.map((request) => `\`${request}\``).join(' and ')} needs it`,
    );
  });

  test('[AU2] what an operation may answer is written beside it or below the table', () => {
    expect(missing(text, COMMON_ERRORS)).toEqual([]);
    const [, below = ''] = text.split('*Any* operation may also answer');
    for (const id of OPERATION_IDS) {
      const beside = row(text, id)?.join(' ') ?? '';
      // A probe's own failures are one status, whatever the code.
      if (operation(id).failureStatus) expect(beside).toContain(String(operation(id).failureStatus));
      else expect(missing(beside + ownPart(id) + below.slice(0, 700), operation(id).errors), id).toEqual([]);
    }
  });

  test('[TQ1] the fields of a submit, its policies, modes and overrides are written', () => {
    const submit = section('### Submit a turn');
    for (const field of keysOf(SubmitTurnSchema))
      expect(
        rows(submit).some(([f]) => f?.includes(`\`${field}\``)),
        field,
      ).toBe(true);
    expect(missing(submit, [...OnBusySchema.options, ...ModeSchema.options, ...keysOf(OverridesSchema)])).toEqual([]);
  });

  test('[CR2] the fields of the snapshot are written, and the contract is named', () => {
    expect(missing(section('### The snapshot'), keysOf(SessionSnapshotSchema))).toEqual([]);
    expect(page).toContain(`contract \`${CONTRACT.name}\` version ${CONTRACT.version}`);
  });
});

describe('docs/PROTOCOL.md, event plane', () => {
  test('[EV3] each event has a part of its own with every field of its payload, and there is no other part', () => {
    const written = [...section('## Events').matchAll(/^#### `(.+)`$/gm)].map(([, name]) => name);
    expect(written).toEqual(Object.keys(EVENTS));
    for (const name of Object.keys(EVENTS) as EventName[]) {
      const cells = rows(section(`#### \`${name}\``)).slice(1);
      const documented = cells.flatMap(([field = '']) => [...field.matchAll(/`(\w+)`/g)].map(([, f]) => f));
      expect(documented.sort(), name).toEqual(keysOf(EVENTS[name]).sort());
    }
  });

  test('[PM2] the reasons of a resolved permission and the figures of a turn are written', () => {
    expect(missing(section('#### `permission.resolved`'), ResolveReasonSchema.options)).toEqual([]);
    expect(missing(section('#### `turn.done`'), keysOf(StatsSchema))).toEqual([]);
  });

  test('[AU1] each inbound frame stands in the table with its fields, and the table has no other', () => {
    const text = section('### Frames that you send');
    const types = InboundFrameSchema.options.map((option) => option.shape.type.value);
    expect(
      rows(text)
        .slice(1)
        .map(([type]) => type)
        .sort(),
    ).toEqual(types.map((type) => `\`${type}\``).sort());
    for (const option of InboundFrameSchema.options) {
      const cells = row(text, option.shape.type.value);
      // A submit points to the fields of a turn, which have a table of their own.
      const elsewhere = option.shape.type.value === 'turn.submit' ? keysOf(SubmitTurnSchema) : [];
      const own = Object.keys(option.shape).filter((field) => field !== 'type' && !elsewhere.includes(field));
      expect(missing(cells?.[1] ?? '', own), option.shape.type.value).toEqual([]);
    }
  });

  test('[EV2] each close code of the error table and of the transport is written', () => {
    const table = section('### Close codes');
    const files = readdirSync(join(ROOT, 'src', 'transport'), { recursive: true, encoding: 'utf8' });
    const code = files
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(ROOT, 'src', 'transport', name), 'utf8'))
      .join('\n');
    const used = [...code.matchAll(/\b(?:100[1-9]|101\d|40\d\d)\b/g)].map(([found]) => found);
    const named = Object.values(ERRORS).flatMap((r) => ('close' in r ? [String(r.close)] : []));
    expect(used).toEqual(expect.arrayContaining(['1001', '1011', '1013']));
    const written = rows(table).flatMap(([cell = '']) => cell.split(', '));
    expect([...new Set([...used, ...named])].filter((found) => !written.includes(found))).toEqual([]);
  });
});

describe('docs/PROTOCOL.md, tables', () => {
  test('[AU2] the error table is the error table', () => {
    const written = rows(section('## Errors')).slice(1);
    const real = (Object.keys(ERRORS) as ErrorCode[]).map((code) => {
      const { status, retryable, close } = errorRow(code);
      return [`\`${code}\``, String(status), retryable ? 'yes' : 'no', close === undefined ? '' : String(close)];
    });
    expect(written.map((cells) => cells.slice(0, 4))).toEqual(real);
    expect(written.filter((cells) => !cells[4])).toEqual([]);
  });

  test('[SV3] the limits have the values that they have', () => {
    const limits: { [name: string]: number } = LIMITS;
    const written = rows(section('## Limits that a client meets')).slice(1);
    expect(written.length).toBeGreaterThan(20);
    for (const [name = '', value = ''] of written) {
      expect(Number(value.replaceAll(',', '')), name).toBe(limits[name.replaceAll('`', '')]);
    }
  });

  test('[AU1] links within the page lead somewhere', () => {
    const slugs = [...page.matchAll(/^#{2,4} (.+)$/gm)].map(([, h = '']) =>
      h
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    const links = [...page.matchAll(/\]\(#([\w-]+)\)/g)].map(([, slug]) => slug);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((slug) => !slugs.includes(slug as string))).toEqual([]);
  });

  test('[AU1] the search finds what is not there', () => {
    expect(missing('a `turn.token` b', ['turn.token', 'token', 'turn', 'turn.done'])).toEqual([
      'token',
      'turn',
      'turn.done',
    ]);
    expect(missing('storage-full, x.', ['x', 'storage'])).toEqual(['storage']);
    expect(rows('| a | b |\n|---|---|\n| c | |')).toEqual([
      ['a', 'b'],
      ['c', ''],
    ]);
  });
});
