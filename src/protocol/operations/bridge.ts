import { z } from 'zod';
import { UnreadSchema } from '../metadata.ts';
import { RuntimeFactsSchema } from './daemon.ts';
import { OperationReplySchema, RunSchema } from './named.ts';
import { none, type Operation, read, WRITE_ERRORS } from './operation.ts';

/** A bridge would let a machine elsewhere run operations here. There is none in this build, and this says so. */
const BridgeSchema = z.object({
  status: z.literal('offline'),
  deviceId: z.null(),
  sessionId: z.null(),
  bridgeTokenPresent: z.literal(false),
  connectedAt: z.null(),
  updatedAt: z.string(),
  /** Why it was last asked to be offline. */
  lastError: z.string().nullable(),
  activationState: z.literal('runtime_ready'),
});
export type Bridge = z.infer<typeof BridgeSchema>;

const text = z.string().max(1_024);
const MetadataSchema = z.object({
  commandId: text.nullish(),
  actor: UnreadSchema.optional(),
  issuedAt: UnreadSchema.optional(),
});

const write = { method: 'POST', safety: 'write', params: none, query: none, status: 200, nullIsEmpty: true } as const;

export const BRIDGE_OPERATIONS = {
  'bridge.status': {
    ...read,
    summary: 'Whether a machine elsewhere is connected: never',
    paths: ['/v3/bridge/status'],
    response: z.object({ daemonId: z.string(), bridge: BridgeSchema }),
  },
  'bridge.connect': {
    ...write,
    summary: 'Refused: there is no bridge',
    paths: ['/v3/bridge/connect'],
    body: z.object({ deviceId: text }),
    response: z.object({ ok: z.literal(true), bridge: BridgeSchema }),
    errors: [...WRITE_ERRORS, 'not-in-this-build'],
  },
  'bridge.disconnect': {
    ...write,
    summary: 'Stays offline, and notes why',
    paths: ['/v3/bridge/disconnect'],
    body: z.object({ reason: text.optional() }),
    response: z.object({ ok: z.literal(true), bridge: BridgeSchema }),
    errors: WRITE_ERRORS,
  },
  'device.bootstrap': {
    ...write,
    summary: 'What a client wants to know first',
    paths: ['/v3/device/bootstrap'],
    body: z.object({}),
    response: z.object({
      daemonId: z.string(),
      version: z.string(),
      ts: z.string(),
      bridge: BridgeSchema,
      connection: z.object({
        host: z.string().nullable(),
        fallbackHosts: z.array(z.string()),
        port: z.number().nullable(),
      }),
      account: z.null(),
      runtime: RuntimeFactsSchema,
    }),
    errors: WRITE_ERRORS,
  },
  'device.execute': {
    ...write,
    summary: 'Run a named operation, as operations.run does',
    paths: ['/v3/device/execute'],
    body: RunSchema.extend({ operationId: text, bridgeMetadata: MetadataSchema.optional() }),
    response: OperationReplySchema.and(z.object({ bridge: BridgeSchema, metadata: z.record(z.string(), z.unknown()) })),
    failsInResponse: true,
    errors: [...WRITE_ERRORS, 'not-found', 'not-in-this-build'],
  },
} as const satisfies Record<string, Operation>;
