import type { z } from 'zod';
import { CONTRACT, PROTOCOL_VERSION } from '../envelope.ts';
import { ERRORS } from '../errors.ts';
import { EVENTS, type EventName } from '../events.ts';
import { EVENT_STREAM, type Operation } from '../operations/operation.ts';
import { OPERATIONS, type OperationId } from '../operations.ts';
import { ANSWERS, BODIES } from './examples.ts';
import { eventSchema, OUTBOUND_FRAMES } from './outbound.ts';
import { type Alternative, Failures } from './responses.ts';
import { sampleOf } from './samples.ts';
import { type Json, SchemaBook } from './schema-book.ts';

export const API_VERSION = `${PROTOCOL_VERSION}.${CONTRACT.version}.0`;
export const LICENSE = { name: 'All rights reserved', identifier: 'LicenseRef-All-Rights-Reserved' } as const;
export const DEFAULT_PORT = '9999';

const ABOUT = `The control plane of a local agent daemon, contract \`${CONTRACT.name}\` version ${CONTRACT.version}. Its event plane is described by
\`/v3/asyncapi.json\`; \`docs/PROTOCOL.md\` tells the whole of it.

Port and token of a running daemon stand in its \`state.json\`. With the observer's token what only reads (\`x-opta-safety: read\`) is answered, and
what changes something is refused with \`read-only-token\`. \`HEAD\` works wherever \`GET\` does.

Every failure is an \`Error\`, or a \`Problem\` (RFC 9457) for a request that accepts \`application/problem+json\`. Programs match on \`code\`; the table
of codes is \`x-opta-errors\` of the schema \`ErrorCode\`. Objects may get further members: pass over those that you do not know.`;

/** The family of an operation is what its id begins with; these have names of their own. */
const FAMILIES: { readonly [first: string]: string } = {
  health: 'daemon',
  readyz: 'daemon',
  v3: 'daemon',
  metrics: 'daemon',
  inspect: 'daemon',
};
const ABOUT_FAMILIES: { readonly [tag: string]: string } = {
  daemon: 'The daemon itself: health, figures, and what its actors are doing',
  sessions: 'Sessions as a whole: made, found, changed, put away',
  events: 'The event log of a session',
  turns: 'Turns: submitted and cancelled',
  queue: 'Turns that wait',
  permissions: 'Decisions on permission requests',
  background: 'Commands that run beside the turns of a session',
  lmx: 'The inference host, seen through the daemon',
  operations: 'What the command line can do, by id',
  bridge: 'A connection to machines elsewhere, which this build does not have',
  device: 'What a client wants to know first',
  legacy: 'What scripts from before v3 call',
  api: 'This contract, for programs',
};

/** The control plane as an OpenAPI 3.1 document, from the operation table. */
export const openapi = (rows: { readonly [id: string]: Operation } = OPERATIONS): Json => {
  const book = new SchemaBook();
  const failures = new Failures(book);
  const paths: { [path: string]: Json } = {};
  for (const [id, row] of Object.entries(rows)) {
    for (const [i, path] of row.paths.entries()) {
      const template = path.replaceAll(/:(\w+)/g, '{$1}');
      const described = describe(book, failures, { id, row, path, alias: i });
      paths[template] = { ...paths[template], [row.method.toLowerCase()]: described };
    }
  }
  addEvents(book);
  annotateErrors(book);
  const tags = [...new Set(Object.keys(rows).map(familyOf))];
  return {
    openapi: '3.1.1',
    info: { title: 'Opta daemon', version: API_VERSION, description: ABOUT, license: LICENSE },
    servers: [
      {
        url: 'http://127.0.0.1:{port}',
        description: 'The daemon of this machine',
        variables: { port: { default: DEFAULT_PORT, description: '9999, or the first free one of 10000 to 10020' } },
      },
    ],
    security: [{ bearer: [] }, { queryToken: [] }],
    tags: tags.map((name) => ({
      name,
      description: ABOUT_FAMILIES[name] ?? `Operations whose id begins with ${name}`,
    })),
    paths,
    components: {
      schemas: book.all(),
      responses: failures.all(),
      headers: {
        ETag: { description: 'Tells this answer from others: for If-None-Match', schema: { type: 'string' } },
        'Retry-After': { description: 'Seconds to wait before another try', schema: { type: 'integer', minimum: 0 } },
      },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: "The token of state.json, or the observer's" },
        queryToken: {
          type: 'apiKey',
          in: 'query',
          name: 'token',
          description: 'The same in the URL, for what cannot set a header. One right token of the two is enough',
        },
      },
    },
  };
};

interface Described {
  id: string;
  row: Operation;
  path: string;
  /** 0: the path that is documented; else one that is kept for older clients. */
  alias: number;
}

const describe = (book: SchemaBook, failures: Failures, op: Described): Json => {
  const { id, row, alias } = op;
  const parameters = parametersOf(book, op);
  const old = `Kept for older clients: see \`${row.paths[0]}\`.`;
  const stream = row.media === EVENT_STREAM ? 'Its messages are described by `/v3/asyncapi.json`.' : '';
  const description = [alias > 0 ? old : '', stream].filter(Boolean).join(' ');
  return {
    operationId: alias > 0 ? `${id}-${alias + 1}` : id,
    summary: row.summary,
    ...(description ? { description } : {}),
    tags: [familyOf(id)],
    ...(alias > 0 ? { deprecated: true } : {}),
    ...(row.open ? { security: [] } : {}),
    'x-opta-safety': row.safety,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(row.body ? { requestBody: bodyOf(book, id, row, row.body) } : {}),
    responses: responsesOf(book, failures, op),
  };
};

const familyOf = (id: string): string => {
  const first = id.split('.')[0] as string;
  return FAMILIES[first] ?? first;
};

// --- what is sent

/** The fields of an object schema, also of one that is changed once it was read. */
const fieldsOf = (schema: z.ZodType): { readonly [field: string]: z.ZodType } => {
  const { def } = schema._zod as unknown as { def: { in?: z.ZodType; innerType?: z.ZodType; shape?: object } };
  const inner = def.in ?? def.innerType;
  return def.shape ? (def.shape as { [field: string]: z.ZodType }) : inner ? fieldsOf(inner) : {};
};

const isRequired = (schema: z.ZodType): boolean => !schema.safeParse(undefined).success;

const parametersOf = (book: SchemaBook, { id, row, path }: Described): Json[] => {
  const one = (where: string, name: string, schema: z.ZodType, required: boolean): Json => {
    const json = book.parameter(schema);
    return { name, in: where, ...(required ? { required } : {}), schema: json, example: sampleOf(book, json, name) };
  };
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => {
    const schema = fieldsOf(row.params)[name];
    if (!schema) throw new Error(`${id}: the schema of its params does not have the ${name} of its path`);
    return one('path', name, schema, true);
  });
  const query = fieldsOf(row.query);
  const headers = Object.entries(row.headers ?? {});
  const byHeader = headers.map(([header, field]) => {
    const schema = (row.body ? fieldsOf(row.body) : query)[field];
    if (!schema) throw new Error(`${id}: no field ${field} for its header ${header}`);
    const described = one('header', spelled(header), schema, false);
    return {
      ...described,
      example: sampleOf(book, book.parameter(schema), field),
      description: `Counts as \`${field}\``,
    };
  });
  // A validator belongs in its header: in a URL it would be part of what is asked for.
  const told = Object.entries(query).filter(
    ([field]) => !headers.some(([h, f]) => f === field && h === 'if-none-match'),
  );
  return [...inPath, ...told.map(([name, schema]) => one('query', name, schema, isRequired(schema))), ...byHeader];
};

const spelled = (header: string): string =>
  header.replaceAll(/\b\w+/g, (word) => (word === 'id' ? 'ID' : `${word[0]?.toUpperCase()}${word.slice(1)}`));

const bodyOf = (book: SchemaBook, id: string, row: Operation, body: z.ZodType): Json => {
  const schema = book.named(`${pascal(id)}Request`, body, 'input');
  const example = BODIES[id as OperationId] ?? sampleOf(book, schema);
  // An empty body counts as {}.
  const required = !body.safeParse({}).success;
  const orNull = row.nullIsEmpty ? { anyOf: [schema, { type: 'null' }] } : schema;
  return { ...(required ? { required } : {}), content: { 'application/json': { schema: orNull, example } } };
};

const pascal = (id: string): string =>
  id
    .split(/[.\-_]/)
    .map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`)
    .join('');

// --- what is answered

const responsesOf = (book: SchemaBook, failures: Failures, op: Described): Json => {
  const { id, row } = op;
  const schema = book.named(`${pascal(id)}Response`, row.response, 'output');
  const example = ANSWERS[id as OperationId] ?? sampleOf(book, schema);
  const headers = Object.keys(row.headers ?? {});
  const tagged = headers.includes('if-none-match') ? { ETag: { $ref: '#/components/headers/ETag' } } : {};
  const replayed = headers.includes('idempotency-key')
    ? { 'Idempotent-Replayed': { description: 'There when the key was used before', schema: { const: 'true' } } }
    : {};
  const own = { ...tagged, ...replayed };
  return {
    [String(row.status)]: {
      description: row.summary,
      ...(Object.keys(own).length > 0 ? { headers: own } : {}),
      content: row.media ? textOf(row.media) : { 'application/json': { schema, example } },
    },
    ...('ETag' in own ? { '304': { description: 'What the client has is good', headers: own } } : {}),
    ...failures.of(row, alternativeOf(failures, op, schema)),
  };
};

const alternativeOf = (failures: Failures, { id, row }: Described, schema: Json): Alternative | undefined => {
  if (row.quotes) return failures.quoted(row.quotes);
  if (!row.failsInResponse) return undefined;
  return { name: id, description: 'Or what was run has failed', schema, statuses: ['4XX', '5XX'] };
};

/** Text of any media type; JSON among them has no schema here. */
const textOf = (media: string): Json =>
  Object.fromEntries(
    [...media.matchAll(/[a-z]+\/[\w.+-]+(?:; [\w=.; -]+)?/g)].map(([type]) => [
      type,
      { schema: type === 'application/json' ? {} : { type: 'string' } },
    ]),
  );

// --- what is in several places

/** A stored event is one of the event table. */
const addEvents = (book: SchemaBook): void => {
  const names = Object.keys(EVENTS) as EventName[];
  const refs = names.map((name) => [name, addEvent(book, name)] as const);
  const mapping = Object.fromEntries(refs.map(([name, ref]) => [name, ref.$ref]));
  book.add('Event', { oneOf: refs.map(([, ref]) => ref), discriminator: { propertyName: 'event', mapping } });
};

export const addEvent = (book: SchemaBook, name: EventName): Json =>
  book.named(`${pascal(name)}Event`, eventSchema(name), 'output');

/** The table of errors, for programs: on the list of codes. */
export const annotateErrors = (book: SchemaBook): void => {
  const codes = book.of(OUTBOUND_FRAMES.error.shape.cause.unwrap(), 'output');
  const { $ref } = codes;
  if (typeof $ref !== 'string') throw new Error('the list of codes has no name');
  book.add('ErrorCode', { ...book.resolve(codes), 'x-opta-errors': ERRORS });
};
