import type { z } from 'zod';
import { API_OPERATIONS } from './operations/api.ts';
import { BACKGROUND_OPERATIONS } from './operations/background.ts';
import { BRIDGE_OPERATIONS } from './operations/bridge.ts';
import { DAEMON_OPERATIONS } from './operations/daemon.ts';
import { FEED_OPERATIONS } from './operations/feeds.ts';
import { LEGACY_OPERATIONS } from './operations/legacy.ts';
import { LMX_OPERATIONS } from './operations/lmx.ts';
import { NAMED_OPERATIONS } from './operations/named.ts';
import type { Operation } from './operations/operation.ts';
import { SESSION_OPERATIONS } from './operations/sessions.ts';
import { TURN_OPERATIONS } from './operations/turns.ts';
import { WEB_OPERATIONS } from './operations/web.ts';

export { COMMON_ERRORS, cursorOf, type Operation } from './operations/operation.ts';

/**
 * The operation table: the contract of the control plane, apart from its handlers. Routes, validation, statuses, the published
 * API description and the clients' types all come from these rows, so they cannot disagree.
 */
export const OPERATIONS = {
  ...DAEMON_OPERATIONS,
  ...SESSION_OPERATIONS,
  ...TURN_OPERATIONS,
  ...BACKGROUND_OPERATIONS,
  ...LMX_OPERATIONS,
  ...NAMED_OPERATIONS,
  ...BRIDGE_OPERATIONS,
  ...LEGACY_OPERATIONS,
  ...API_OPERATIONS,
  ...WEB_OPERATIONS,
  ...FEED_OPERATIONS,
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;

export interface OperationInput<K extends OperationId> {
  params: z.output<(typeof OPERATIONS)[K]['params']>;
  query: z.output<(typeof OPERATIONS)[K]['query']>;
  body: (typeof OPERATIONS)[K]['body'] extends z.ZodType ? z.output<(typeof OPERATIONS)[K]['body']> : undefined;
}
export type OperationOutput<K extends OperationId> = z.output<(typeof OPERATIONS)[K]['response']>;

export const operation = (id: OperationId): Operation => OPERATIONS[id];
export const OPERATION_IDS = Object.keys(OPERATIONS) as OperationId[];

/** Fields of a call before they are checked; query values may be given as what they mean. */
export interface CallFields {
  params?: { readonly [name: string]: string };
  query?: { readonly [name: string]: string | number | boolean | undefined };
  body?: unknown;
}

/** Calls an operation of this table: over the wire, or inside the daemon. Rejects with an `OptaError`. */
export type Call = <K extends OperationId>(id: K, fields?: CallFields) => Promise<OperationOutput<K>>;
