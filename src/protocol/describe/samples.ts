import { CONTRACT } from '../envelope.ts';
import type { Json, SchemaBook } from './schema-book.ts';

/** Values by the name of the field, so that examples read alike everywhere. One that does not fit its schema is passed over. */
const BY_NAME: Json = {
  activeTurnId: 'GuxWECHoKOoa',
  action: 'turn.submit',
  adapter: 'uws',
  afterSeq: 4,
  args: '{"path":"README.md"}',
  arguments: '{"path":"README.md"}',
  at: '2026-11-23T14:02:32.101Z',
  atSeq: 8,
  attachmentId: 'att_1',
  callId: 'call_1',
  chart: 'session',
  clientId: 'my-tool',
  code: 'session-not-found',
  command: 'tail -f build.log',
  content: 'read README.md',
  uptime: 86_400,
  contract: CONTRACT,
  createdAt: '2026-11-23T14:02:30.004Z',
  cursor: '1795442550004.garden',
  cwd: '/home/ada/garden',
  daemonId: 'daemon_ut3HRukv',
  decidedBy: 'person:ada',
  deletedAt: '2026-11-23T14:05:00.000Z',
  description: 'Checks the installation',
  elapsedMs: 216,
  elapsed: 0.216,
  engine: { engine: 'demo' },
  endedAt: '2026-11-23T14:04:10.000Z',
  expiresAt: '2026-11-23T14:04:48.332Z',
  features: ['presence'],
  help: 'Turns that wait',
  id: 'garden',
  idempotencyKey: '8e03978e-40d5-43e8-bc93-6894a57f9324',
  default_workspace: '/home/ada/garden',
  instance: '/v3/sessions/garden',
  lastEventId: '4',
  includeInactive: 'true',
  ifNoneMatch: '"9d7eba3db8e2de56"',
  limit: 50,
  message: 'The model answered nothing',
  modelId: 'org/model',
  model_id: 'org/model',
  model: 'org/model',
  name: 'queueTurnsMax',
  operationId: 'sessions.delete',
  pid: 4711,
  processId: 'bg_Xa81kQ',
  quarantined: [],
  q: 'beans',
  queuedAt: '2026-11-23T14:02:31.000Z',
  repoId: 'org/model',
  requestId: 'perm_GuxWECHoKOoa_1_0',
  result: '# Garden',
  runtimeMs: 1_200,
  sessionId: 'garden',
  since: '2026-11-23T14:02:31.000Z',
  startedAt: '2026-11-23T14:02:31.000Z',
  state: 'ready',
  status: 'ok',
  step: 1,
  storage: { state: 'ok' },
  summary: 'Write 16 bytes to note.md',
  text: 'Beans want warmth.',
  title: 'Beans',
  toolName: 'write_file',
  ts: '2026-11-23T14:02:32.101Z',
  turnId: 'GuxWECHoKOoa',
  updatedAt: '2026-11-23T14:02:32.101Z',
  version: '0.1.0',
  why: 'the default',
  workspace: '/home/ada/garden',
  writerId: 'ada',
};

const DEPTH_MAX = 8;

/** A value of the schema: what it requires and no more. A test asks each for its fit and names the field to add above. */
export const sampleOf = (book: SchemaBook, schema: Json, name = '', depth = 0): unknown => {
  const json = book.resolve(schema);
  if ('const' in json) return json.const;
  const known = BY_NAME[name];
  for (const value of known === undefined ? [] : [known, String(known)]) if (fits(value, json)) return value;
  if (Array.isArray(json.enum)) return json.enum[0];
  if (Array.isArray(json.allOf)) return wholeOf(json.allOf.map((part) => sampleOf(book, part, name, depth)));
  const [first] = (json.oneOf ?? json.anyOf ?? []) as Json[];
  if (first) return sampleOf(book, first, name, depth);
  switch (typeOf(json)) {
    case 'object': {
      const members = (json.properties ?? {}) as { [member: string]: Json };
      const required = (json.required ?? []) as string[];
      return Object.fromEntries(required.map((m) => [m, sampleOf(book, members[m] ?? {}, m, depth + 1)]));
    }
    case 'array':
      return depth > DEPTH_MAX || itself(book, json) ? [] : [sampleOf(book, (json.items ?? {}) as Json, '', depth + 1)];
    case 'string':
      return 'x'.repeat(Math.max(1, Number(json.minLength ?? 1)));
    case 'integer':
    case 'number':
      return Number(json.minimum ?? 1);
    case 'boolean':
      return true;
    default:
      return json.type === 'null' ? null : {};
  }
};

/** The parts of an object as one; of anything else the first says enough. */
const wholeOf = (parts: readonly unknown[]): unknown =>
  parts.every((p) => typeof p === 'object' && p !== null) ? Object.assign({}, ...parts) : parts[0];

const typeOf = ({ type }: Json): unknown => (Array.isArray(type) ? type[0] : type);

/** An array of what it stands in. */
const itself = (book: SchemaBook, { items }: Json): boolean => {
  const members = book.resolve((items ?? {}) as Json).properties as { [member: string]: Json } | undefined;
  return Object.values(members ?? {}).some((m) => JSON.stringify(m.items) === JSON.stringify(items));
};

const fits = (value: unknown, json: Json): boolean => {
  if (Array.isArray(json.enum)) return json.enum.includes(value);
  if (json.oneOf || json.anyOf || json.allOf) return false;
  const type = typeOf(json);
  if (type === undefined) return true;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (typeof value !== type) return false;
  return typeof value !== 'string' || !json.pattern || new RegExp(String(json.pattern)).test(value);
};
