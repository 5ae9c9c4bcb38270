import { z } from 'zod';

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

const PermissionRuleSchema = z.strictObject({
  /** Tool name, `*` matches any run of characters. */
  tool: z.string().min(1).max(128),
  /** The same on the call's path, for tools that have one. */
  path: z.string().min(1).max(1_024).optional(),
  action: z.enum(['allow', 'ask', 'deny']),
});
export type PermissionRule = z.infer<typeof PermissionRuleSchema>;

/**
 * Objects are strict: a misspelt `permisions` must not silently lose a deny rule ([PM5]).
 */
export const ConfigSchema = z.strictObject({
  connection: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .max(255)
        .regex(/^[A-Za-z0-9.:_[\]-]+$/, 'must be a host name or address')
        .default(INFERENCE_HOST_DEFAULT),
      port: Port.default(INFERENCE_PORT_DEFAULT),
      apiKey: z.string().min(1).optional(),
      /** Sent as `X-Admin-Key` when models are managed. */
      adminKey: z.string().min(1).optional(),
      /** The host is trusted without a proof of identity. */
      trusted: z.boolean().optional(),
      /** Nothing but loopback is ever contacted. */
      loopbackOnly: z.boolean().optional(),
    })
    .prefault({}),
  /** Empty: the engine's own default. */
  model: z.strictObject({ default: z.string().max(256).default('') }).prefault({}),
  engine: EngineSchema.default('lmx'),
  permissions: z
    .strictObject({
      deadlineMs: z.number().int().min(100).max(86_400_000).default(120_000),
      rules: z.array(PermissionRuleSchema).max(1_000).default([]),
    })
    .prefault({}),
  daemon: z
    .strictObject({
      port: ListenPort.default(DAEMON_PORT_DEFAULT),
      allowedOrigins: z.array(Origin).max(100).default([]),
      transport: z.enum(['auto', 'uws', 'ws']).default('auto'),
    })
    .prefault({}),
  hostPolicy: z
    .strictObject({
      role: HostRoleSchema.optional(),
      hosts: z.record(z.string().min(1).max(255), z.strictObject({ role: HostRoleSchema })).optional(),
      remoteAdmin: z.boolean().optional(),
    })
    .prefault({}),
});
export type Config = z.infer<typeof ConfigSchema>;
/** What a file or the flags may say: any part of it. */
export type ConfigInput = z.input<typeof ConfigSchema>;
