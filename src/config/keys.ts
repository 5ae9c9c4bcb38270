import { z } from 'zod';
import { type Config, ConfigSchema } from './schema.ts';

/**
 * One row for each key: what `config explain` and docs/OPERATIONS.md say of it, the variable that sets it, and what a project's
 * file may do with it ([CF2]). A test compares these rows with the schema and with that page.
 */
export interface KeyRow {
  key: string;
  text: string;
  env?: string;
  /** How the variable's text is read; as it is, when absent. */
  as?: 'number' | 'flag';
  secret?: true;
  /**
   * `counts`: a project may set it. `narrows`: its `deny` rules always count, the others once the file is trusted. `never`: the
   * daemon serves all projects, so none of them decides this.
   */
  project: 'counts' | 'narrows' | 'never';
}

const row = (key: string, text: string, more: Partial<KeyRow> = {}): KeyRow => ({
  key,
  text,
  project: 'never',
  ...more,
});

export const KEYS: readonly KeyRow[] = [
  row('connection.host', 'Inference host.', { env: 'OPTA_HOST' }),
  row('connection.port', 'Port of the inference host.', { env: 'OPTA_PORT', as: 'number' }),
  row('connection.apiKey', 'Key that the inference host asks for.', { env: 'OPTA_API_KEY', secret: true }),
  row('connection.adminKey', 'Key for changing the models of the inference host.', {
    env: 'OPTA_ADMIN_KEY',
    secret: true,
  }),
  row('connection.trusted', 'Send prompts to the host without a proof that it is an LMX.', {
    env: 'OPTA_TRUSTED',
    as: 'flag',
  }),
  row('connection.loopbackOnly', 'Open no connection to anything but loopback.', {
    env: 'OPTA_LOOPBACK_ONLY',
    as: 'flag',
  }),
  row('model.default', "Model of new sessions; empty: the inference server's own choice.", {
    env: 'OPTA_MODEL',
    project: 'counts',
  }),
  row('engine', 'Where answers come from.', { env: 'OPTA_ENGINE' }),
  row('permissions.deadlineMs', 'How long a permission request waits for an answer, in milliseconds.', {
    env: 'OPTA_PERMISSION_DEADLINE_MS',
    as: 'number',
  }),
  row('permissions.rules', 'What tools may do: {tool, path?, action}. The last match wins, but a deny is final.', {
    project: 'narrows',
  }),
  row('daemon.port', 'Preferred port of the daemon; 0: any free one.', { env: 'OPTA_DAEMON_PORT', as: 'number' }),
  row('daemon.allowedOrigins', 'Web origins, besides loopback, whose pages may talk to the daemon.'),
  row('daemon.transport', 'What carries the planes.', { env: 'OPTA_TRANSPORT' }),
  row('hostPolicy.role', 'What this machine may do, whatever the table of hosts says.'),
  row('hostPolicy.hosts', 'Roles by host name: {"Name": {"role": …}}. Case and domain do not count.'),
  row('hostPolicy.remoteAdmin', 'Allow models of a remote inference host to be changed from here.'),
];

export const keyRow = (key: string): KeyRow | undefined => KEYS.find((row) => row.key === key);

type JsonSchema = {
  type?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  properties?: { [name: string]: JsonSchema };
};

let described: JsonSchema | null = null;

const schemaOf = (key: string): JsonSchema => {
  described ??= z.toJSONSchema(ConfigSchema, { io: 'input' }) as JsonSchema;
  return key.split('.').reduce<JsonSchema>((at, name) => at.properties?.[name] ?? {}, described);
};

/** What a value of this key looks like, in words. */
export const typeOf = (key: string): string => {
  const { type, enum: names, minimum, maximum } = schemaOf(key);
  if (names) return names.join(' | ');
  if (type === 'integer') return `whole number from ${minimum} to ${maximum}`;
  if (type === 'boolean') return 'true | false';
  if (type === 'array') return 'JSON array';
  return type === 'object' ? 'JSON object' : 'text';
};

export const valueAt = (config: unknown, key: string): unknown =>
  key
    .split('.')
    .reduce<unknown>(
      (at, name) =>
        typeof at === 'object' && at !== null && Object.hasOwn(at, name)
          ? (at as { [k: string]: unknown })[name]
          : undefined,
      config,
    );

export const defaultOf = (key: string): unknown => valueAt(ConfigSchema.parse({}), key);

export const HIDDEN = '(hidden)';

/** The same configuration with its secrets covered. */
export const redacted = (config: Config): unknown => {
  const copy = structuredClone(config) as { [name: string]: unknown };
  for (const { key } of KEYS.filter((row) => row.secret)) {
    const path = key.split('.');
    const last = path.pop() as string;
    const holder = valueAt(copy, path.join('.')) as { [name: string]: unknown } | undefined;
    if (holder?.[last] !== undefined) holder[last] = HIDDEN;
  }
  return copy;
};

/** The name that was probably meant, or undefined. */
export const nearest = (name: string, among: readonly string[]): string | undefined => {
  const [best] = among
    .map((candidate) => ({ candidate, far: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.max(2, Math.floor(name.length / 3)) ? best.candidate : undefined;
};

/** Insertions, deletions and replacements between two words. */
const distance = (a: string, b: string): number => {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const now = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      now[j] = Math.min((before[j] ?? 0) + 1, (now[j - 1] ?? 0) + 1, swap);
    }
    before = now;
  }
  return before[b.length] ?? 0;
};
