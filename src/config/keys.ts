import { z } from 'zod';
import { KEPT, keptRow } from './kept.ts';
import { ConfigSchema, TOOL_KEY } from './schema.ts';
import { toolDefault } from './tool-rules.ts';

/**
 * One row for each key: what `config explain` and docs/OPERATIONS.md say of it, the variable that sets it, and what a project's
 * file may do with it ([CF2]). A test compares these rows with the schema and with that page.
 */
export interface KeyRow {
  key: string;
  text: string;
  env?: string;
  /** Another name of the variable, which counts when the first says nothing. */
  alsoEnv?: string;
  /** How the variable's text is read; as it is, when absent. */
  as?: 'number' | 'flag' | 'pairs';
  /** [CF6] Nothing here reads it. */
  kept?: true;
  /** Each name below it is a key too, such as `permissions.write_file`; what it may be. */
  names?: RegExp;
  /** The same, and each dot in such a name is a step down. */
  deep?: true;
  /**
   * `counts`: a project may set it. `narrows`: its `deny` rules always count, the others once the file is trusted. `trusted`: what it
   * adds runs something, and counts once the file is trusted. `never`: the daemon serves all projects, so none of them decides this.
   */
  project: 'counts' | 'narrows' | 'trusted' | 'never';
}

/** First of a letter or digit: no name reaches a prototype. */
const HOST_KEY = /^[A-Za-z0-9[][A-Za-z0-9.:_[\]-]*$/;

const STEPS = /^[A-Za-z0-9][\w-]*(?:\.[A-Za-z0-9][\w-]*)*$/;

const row = (key: string, text: string, more: Partial<KeyRow> = {}): KeyRow => ({
  key,
  text,
  project: 'never',
  ...more,
});

const REAL: readonly KeyRow[] = [
  row('connection.host', 'Inference host.', { env: 'OPTA_HOST' }),
  row('connection.port', 'Port of the inference host.', { env: 'OPTA_PORT', as: 'number' }),
  row('connection.fallbackHosts', 'Hosts that stand in for it when it does not answer, in their order.'),
  row('connection.apiKey', 'Key that the inference host asks for.', { env: 'OPTA_API_KEY' }),
  row('connection.apiKeysByHost', 'The same by host: {"name": "key"}; comes before the one for all.', {
    names: HOST_KEY,
  }),
  row('connection.adminKey', 'Key for changing the models of the inference host.', {
    env: 'OPTA_ADMIN_KEY',
    alsoEnv: 'OPTA_LMX_ADMIN_KEY',
  }),
  row('connection.adminKeysByHost', 'The same by host: {"name": "key"}, or name=key,name=key.', {
    env: 'OPTA_ADMIN_KEYS_BY_HOST',
    as: 'pairs',
    names: HOST_KEY,
  }),
  row('connection.trusted', 'Send prompts to the host without a proof that it is an LMX.', {
    env: 'OPTA_TRUSTED',
    as: 'flag',
  }),
  row('connection.loopbackOnly', 'Open no connection to anything but loopback.', {
    env: 'OPTA_LOOPBACK_ONLY',
    as: 'flag',
  }),
  row('connection.inferenceTimeout', 'How long the first word of an answer may take, in milliseconds.'),
  row('connection.retry.maxRetries', 'How often a step is tried again while nothing of its answer has come.'),
  row(
    'connection.retry.backoffMs',
    'The pause before the first of them, in milliseconds; each is twice the one before.',
  ),
  row('model.default', "Model of new sessions; empty: the inference server's own choice.", {
    env: 'OPTA_MODEL',
    project: 'counts',
  }),
  row('model.embeddingModel', 'Model of opta embed when the command names none.'),
  row('model.rerankerModel', 'Model of opta rerank when the command names none.'),
  row(
    'model.contextLimit',
    'Tokens that a model can read, prompt and answer together, when its server does not say it.',
  ),
  row('engine', 'Where answers come from.', { env: 'OPTA_ENGINE' }),
  row('defaultMode', 'What opta do and opta chat do when no flag says it: auto allows edits, ci asks nobody.'),
  row('permissions.deadlineMs', 'How long a permission request waits for an answer, in milliseconds.', {
    env: 'OPTA_PERMISSION_DEADLINE_MS',
    as: 'number',
  }),
  row(
    'permissions.rules',
    'What tools may do: {tool, path?, command?, action}. The last match wins, but a deny is final.',
    {
      project: 'narrows',
    },
  ),
  row('safety.maxParallelTools', 'Calls of one message that run at once; only those that change nothing do.'),
  row('safety.compactAt', 'From this share of what the model can read on, a conversation is shortened.'),
  row(
    'safety.diskHeadroomMb',
    'Nothing is taken on while less than this is free on the disk of the event log, in MiB.',
    {
      env: 'OPTA_DISK_HEADROOM_MB',
      as: 'number',
    },
  ),
  row('daemon.host', 'Loopback address on which the daemon listens.', { env: 'OPTA_DAEMON_HOST' }),
  row('daemon.port', 'Preferred port of the daemon; 0: any free one.', { env: 'OPTA_DAEMON_PORT', as: 'number' }),
  row('daemon.allowedOrigins', 'Web origins, besides loopback, whose pages may talk to the daemon.'),
  row('daemon.transport', 'What carries the planes.', { env: 'OPTA_TRANSPORT' }),
  row('daemon.maxSessions', 'Sessions held in memory at one moment; idle ones make room.'),
  row('daemon.workerPoolSize', 'Tools that run at one moment.', { env: 'OPTA_DAEMON_TOOL_WORKERS', as: 'number' }),
  row('background.maxConcurrent', 'Background processes of one session at one moment.'),
  row('background.defaultTimeout', 'How long one may run when nobody said, in milliseconds; 0: no bound.'),
  row('background.maxBufferSize', 'Characters that are kept of the output of one.'),
  row('background.onRestart', 'Whether one ends with the daemon, or runs on and the next daemon takes it over.'),
  row('background.adoptWithin', 'How long one that runs on waits for the next daemon before it ends, in milliseconds.'),
  row(
    'sandbox.mode',
    'Commands of the model run confined where the system can do it; off: unconfined, and each is asked about.',
  ),
  row('sandbox.readable', 'Absolute paths in home folders that confined commands may read, besides the tool chains.'),
  row(
    'sandbox.writable',
    'Absolute paths that confined commands may write, besides the workspace and a /tmp of their own.',
  ),
  row('tui.default', 'Whether opta chat opens the full screen where no flag says it.'),
  row('hostPolicy.role', 'What this machine may do, whatever the table of hosts says.'),
  row('hostPolicy.hosts', 'Roles by host name: {"Name": {"role": …}}. Case and domain do not count.', {
    names: HOST_KEY,
  }),
  row('hostPolicy.remoteAdmin', 'Allow models of a remote inference host to be changed from here.'),
  row('mcp.servers', 'Servers of tools by name: {command, args, env} or {url, headers}.', {
    names: /^[A-Za-z0-9][A-Za-z0-9_.-]*$/,
    project: 'trusted',
  }),
  row('git.autoCommit', 'Commit what a turn wrote when it is done: its files alone, nothing when something is staged.'),
  row('git.checkpoints', 'Keep what files held before a turn wrote them, so that it can be taken back.'),
  row('hooks', 'Commands that something runs: {event, command, matcher?, timeout?, background?}.', {
    project: 'trusted',
  }),
  row('profiles.environments', 'What opta env keeps, by name.'),
  row('profiles.activeEnvironment', 'The profile that was applied last.'),
];

/** One row for each key of the schema: those that are read here, and those that are kept for scripts. */
export const KEYS: readonly KeyRow[] = [
  ...REAL,
  ...KEPT.map(({ key, instead, open }) =>
    row(key, `Has no effect in this version${instead === undefined ? '' : `: ${instead}`}.`, {
      kept: true,
      ...(open ? { names: STEPS, deep: true } : {}),
    }),
  ),
];

/** Keys whose names are not known beforehand: `permissions.write_file`, `connection.adminKeysByHost.some.host`. */
const OPEN: readonly KeyRow[] = [
  row('permissions', 'What this tool may do; a deny is final.', { project: 'narrows', names: TOOL_KEY }),
  ...KEYS.filter((known) => known.names !== undefined),
];

/** Names that pages of the older program gave to keys that are here under another. */
const ALSO: { readonly [name: string]: string | undefined } = {
  'daemon.permissionTimeoutMs': 'permissions.deadlineMs',
};

const named = (key: string): string => (Object.hasOwn(ALSO, key) ? (ALSO[key] as string) : key);

/** The row of a key, or of the open key that it is a name of. */
export const keyRow = (key: string): KeyRow | undefined => {
  const known = KEYS.find((row) => row.key === named(key));
  if (known) return known;
  const open = openOf(key);
  return open && { ...open, key };
};

const openOf = (key: string): KeyRow | undefined =>
  OPEN.find((row) => key.startsWith(`${row.key}.`) && row.names?.test(key.slice(row.key.length + 1)));

/** Where a key stands in a configuration. The name below an open key is one step, whatever dots are in it. */
export const pathOf = (said: string): string[] => {
  const key = named(said);
  const open = KEYS.some((row) => row.key === key) ? undefined : openOf(key);
  return open === undefined || open.deep ? key.split('.') : [...open.key.split('.'), key.slice(open.key.length + 1)];
};

type JsonSchema = {
  type?: string;
  const?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  properties?: { [name: string]: JsonSchema };
  additionalProperties?: JsonSchema | false;
  anyOf?: unknown;
};

let described: JsonSchema | null = null;

const schemaOf = (key: string): JsonSchema => {
  described ??= z.toJSONSchema(ConfigSchema, { io: 'input' }) as JsonSchema;
  return pathOf(key).reduce<JsonSchema>(
    (at, name) => at.properties?.[name] ?? (at.additionalProperties || {}),
    described,
  );
};

/** What a value of this key looks like, in words. */
export const typeOf = (key: string): string => {
  const { type, const: only, enum: names, minimum, maximum, anyOf } = schemaOf(key);
  if (only !== undefined) return only;
  if (names) return names.join(' | ');
  if (type === 'integer') return `whole number from ${minimum} to ${maximum}`;
  if (type === 'number') return `number from ${minimum} to ${maximum}`;
  if (type === 'boolean') return 'true | false';
  if (type === 'array') return 'JSON array';
  if (type === 'object' || anyOf) return 'JSON object';
  return type === 'string' ? 'text' : 'text or JSON';
};

export const valueAt = (config: unknown, key: string): unknown =>
  pathOf(key).reduce<unknown>(
    (at, name) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, name)
        ? (at as { [k: string]: unknown })[name]
        : undefined,
    config,
  );

let empty: unknown = null;
const defaults = (): unknown => {
  empty ??= ConfigSchema.parse({});
  return empty;
};

/** What holds when nobody said anything; undefined: nothing. */
export const defaultOf = (key: string): unknown =>
  valueAt(defaults(), key) ?? keptRow(key)?.standard ?? toolDefault(key);

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
