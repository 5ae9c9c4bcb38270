import { z } from 'zod';
import { keptIn } from './kept.ts';

/** The owner's inference host. Tests, scripts and demos never contact it: they set `OPTA_LOOPBACK_ONLY=1` and another host. */
export const INFERENCE_HOST_DEFAULT = '192.168.188.11';
export const INFERENCE_PORT_DEFAULT = 1234;
export const DAEMON_PORT_DEFAULT = 9999;

const Port = z.number().int().min(1).max(65_535);

/** The daemon only ever listens on loopback; 0 asks the system for a free port. */
const ListenPort = z.number().int().min(0).max(65_535);

/** As browsers send it: scheme, host and port, nothing behind them. */
const Origin = z
  .string()
  .max(300)
  .regex(/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/i, 'must be an origin such as https://app.example');

export const EngineSchema = z.enum(['lmx', 'demo']);
export type Engine = z.infer<typeof EngineSchema>;

/** What a machine may do: `client` neither runs inference nor stores models, `any` is free. */
export const HostRoleSchema = z.enum(['client', 'inference', 'any']);
export type HostRole = z.infer<typeof HostRoleSchema>;

const Action = z.enum(['allow', 'ask', 'deny']);

const AbsolutePath = z.string().min(1).max(4_096).startsWith('/', 'must be an absolute path');

const PermissionRuleSchema = z.strictObject({
  /** Tool name, `*` matches any run of characters. */
  tool: z.string().min(1).max(128),
  /** The same on the call's path, for tools that have one. */
  path: z.string().min(1).max(1_024).optional(),
  /** The same on the command of a call that runs one. An `allow` is for a single program with its arguments alone. */
  command: z.string().min(1).max(8_192).optional(),
  action: Action,
});
export type PermissionRule = z.infer<typeof PermissionRuleSchema>;

/** A tool's name, as the keys of `permissions` have it; `*` matches any run of characters. */
export const TOOL_KEY = /^[A-Za-z*][A-Za-z0-9_*-]{0,127}$/;

/** Keys by host: `name`, `name:port`. */
const KeysByHost = z.record(z.string().regex(/^[A-Za-z0-9[][A-Za-z0-9.:_[\]-]{0,254}$/), z.string().min(1).max(4_096));

const Host = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[A-Za-z0-9.:_[\]-]+$/, 'must be a host name or address');

/** A server of tools: a command that speaks over its standard streams, or an address. */
export const McpServerSchema = z.union([
  z.strictObject({
    transport: z.literal('stdio').optional(),
    command: z.string().min(1).max(4_096),
    args: z.array(z.string().max(8_192)).max(256).default([]),
    env: z.record(z.string().min(1).max(256), z.string().max(32_768)).default({}),
  }),
  z.strictObject({
    transport: z.literal('http').optional(),
    url: z.url({ protocol: /^https?$/ }).max(2_048),
    headers: z.record(z.string().min(1).max(256), z.string().max(32_768)).optional(),
  }),
]);
export type McpServer = z.infer<typeof McpServerSchema>;
export const McpNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'must be a short plain name');

/**
 * A command that something runs. `matcher`: names of tools, or globs of them, with `|` between; all without it. `timeout` in
 * milliseconds. `background`: nobody waits for it, and it refuses nothing.
 */
export const HookSchema = z.strictObject({
  event: z.enum(['session.start', 'session.end', 'turn.done', 'error', 'tool.pre', 'tool.post', 'compact']),
  command: z.string().min(1).max(8_192),
  matcher: z.string().max(1_024).optional(),
  timeout: z.number().min(100).max(60_000).default(10_000),
  background: z.boolean().default(false),
});
export type Hook = z.infer<typeof HookSchema>;

export const DefaultModeSchema = z.enum(['safe', 'auto', 'plan', 'review', 'research', 'dangerous', 'ci']);
export type DefaultMode = z.infer<typeof DefaultModeSchema>;

/** `name`, `name:port`, `[::1]:port`. */
const FallbackHost = z
  .string()
  .regex(
    /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/,
    'must be a host, or host:port',
  );

export const ProfileNameSchema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be a short plain name');

/** A named set of settings, as `opta env` keeps them. */
export const ProfileSchema = z.strictObject({
  name: ProfileNameSchema,
  connection: z.strictObject({
    host: Host,
    port: Port,
    adminKey: z.string().min(1).optional(),
    apiKey: z.string().min(1).optional(),
    adminKeysByHost: KeysByHost.optional(),
  }),
  modelDefault: z.string().max(256),
  provider: z.string().min(1).max(64),
  defaultMode: DefaultModeSchema,
  /** Milliseconds since 1970. */
  updatedAt: z.number().int().min(0),
});
export type Profile = z.infer<typeof ProfileSchema>;

/** A section: its own keys, and what the table of kept keys has for it. */
const section = <S extends z.ZodRawShape>(name: string, shape: S) => z.strictObject({ ...keptIn(name), ...shape });

/**
 * Objects are strict: a misspelt `permisions` must not silently lose a deny rule ([PM5]).
 */
export const ConfigSchema = section('', {
  connection: section('connection', {
    host: Host.default(INFERENCE_HOST_DEFAULT),
    port: Port.default(INFERENCE_PORT_DEFAULT),
    /** Hosts that stand in for it, in their order: `name` has its port, `name:port` its own. */
    fallbackHosts: z.array(FallbackHost).max(8).default([]),
    apiKey: z.string().min(1).optional(),
    apiKeysByHost: KeysByHost.optional(),
    /** Sent as `X-Admin-Key` when models are managed. */
    adminKey: z.string().min(1).optional(),
    adminKeysByHost: KeysByHost.optional(),
    /** The host is trusted without a proof of identity. */
    trusted: z.boolean().optional(),
    /** Nothing but loopback is ever contacted. */
    loopbackOnly: z.boolean().optional(),
    inferenceTimeout: z.number().int().min(5_000).max(600_000).default(120_000),
    retry: section('connection.retry', {
      maxRetries: z.number().int().min(0).max(10).default(3),
      backoffMs: z.number().int().min(100).max(60_000).default(250),
    }).prefault({}),
  }).prefault({}),
  /** Empty: the engine's own default. */
  model: section('model', {
    default: z.string().max(256).default(''),
    embeddingModel: z.string().max(256).default(''),
    rerankerModel: z.string().max(256).default(''),
    /** Tokens that a model can read whose server does not say so. */
    contextLimit: z.number().int().min(1).max(1_000_000_000).default(32_768),
  }).prefault({}),
  engine: EngineSchema.default('lmx'),
  defaultMode: DefaultModeSchema.default('safe'),
  permissions: z
    .object({
      deadlineMs: z.number().int().min(100).max(86_400_000).default(120_000),
      rules: z.array(PermissionRuleSchema).max(1_000).default([]),
    })
    // `permissions.write_file: "deny"` is a rule too; see `toolRules`.
    .catchall(Action)
    .superRefine((said, issue) => {
      for (const name of Object.keys(said))
        if (!TOOL_KEY.test(name))
          issue.addIssue({ code: 'custom', path: [name], message: 'must be the name of a tool' });
    })
    .prefault({}),
  safety: section('safety', {
    diskHeadroomMb: z.number().int().min(1).max(1_048_576).default(64),
    /** Calls of one message that only read, at once. */
    maxParallelTools: z.number().int().min(1).max(16).default(8),
    /** From this share of the model's context on, a conversation is shortened. */
    compactAt: z.number().min(0).max(1).default(0.7),
  }).prefault({}),
  daemon: section('daemon', {
    host: z
      .string()
      .regex(/^(127(\.\d{1,3}){3}|localhost|::1)$/, 'must be a loopback address: the daemon listens on no other')
      .default('127.0.0.1'),
    port: ListenPort.default(DAEMON_PORT_DEFAULT),
    allowedOrigins: z.array(Origin).max(100).default([]),
    transport: z.enum(['auto', 'uws', 'ws']).default('auto'),
    maxSessions: z.number().int().min(1).max(10_000).default(10_000),
    workerPoolSize: z.number().int().min(1).max(64).default(4),
  }).prefault({}),
  background: section('background', {
    maxConcurrent: z.number().int().min(1).max(20).default(5),
    defaultTimeout: z.number().int().min(0).max(86_400_000).default(300_000),
    maxBufferSize: z.number().int().min(1_024).max(67_108_864).default(8_388_608),
    onRestart: z.enum(['kill', 'adopt']).default('kill'),
    adoptWithin: z.number().int().min(1_000).max(86_400_000).default(600_000),
  }).prefault({}),
  sandbox: z
    .strictObject({
      mode: z.enum(['auto', 'off']).default('auto'),
      readable: z.array(AbsolutePath).max(100).default([]),
      writable: z.array(AbsolutePath).max(100).default([]),
    })
    .prefault({}),
  tui: section('tui', { default: z.boolean().default(false) }).prefault({}),
  hostPolicy: z
    .strictObject({
      role: HostRoleSchema.optional(),
      hosts: z.record(z.string().min(1).max(255), z.strictObject({ role: HostRoleSchema })).optional(),
      remoteAdmin: z.boolean().optional(),
    })
    .prefault({}),
  mcp: section('mcp', { servers: z.record(McpNameSchema, McpServerSchema).default({}) }).prefault({}),
  git: section('git', {
    /** What a turn wrote is committed when it is done. */
    autoCommit: z.boolean().default(false),
    /** Versions of files are kept, so that a turn can be taken back. */
    checkpoints: z.boolean().default(true),
  }).prefault({}),
  hooks: z.array(HookSchema).max(100).default([]),
  profiles: section('profiles', {
    environments: z.record(ProfileNameSchema, ProfileSchema).default({}),
    activeEnvironment: ProfileNameSchema.optional(),
  }).prefault({}),
});
export type Config = z.infer<typeof ConfigSchema>;
/** What a file or the flags may say: any part of it. */
export type ConfigInput = z.input<typeof ConfigSchema>;
