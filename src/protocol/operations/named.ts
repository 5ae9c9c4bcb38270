import { z } from 'zod';
import { UnreadSchema } from '../metadata.ts';
import { none, type Operation, read, WRITE_ERRORS } from './operation.ts';

/** `dangerous`: runs only with `confirmDangerous`. */
export const SafetySchema = z.enum(['read', 'write', 'dangerous']);
export type Safety = z.infer<typeof SafetySchema>;

export const OperationInfoSchema = z.object({
  id: z.string(),
  title: z.string(),
  description: z.string(),
  safety: SafetySchema,
});
export type OperationInfo = z.infer<typeof OperationInfoSchema>;

/** An id that is known: one that runs here, or one that other versions run and this one, for a reason, does not. */
export interface FoundOperation {
  safety: Safety;
  absent?: string;
}

/** What a run answers: its result, or why there is none. A failure comes with a status that is none of success. */
export const OperationReplySchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), id: z.string(), safety: SafetySchema, result: z.unknown() }),
  z.object({
    ok: z.literal(false),
    id: z.string(),
    safety: SafetySchema,
    error: z.looseObject({ code: z.string(), message: z.string() }),
  }),
]);
export type OperationReply = z.infer<typeof OperationReplySchema>;

export const RunSchema = z.strictObject({ input: UnreadSchema.optional(), confirmDangerous: z.boolean().optional() });

/** What the CLI can do, for programs that have no CLI: one id each, run by the daemon on its own machine. */
export const NAMED_OPERATIONS = {
  'operations.list': {
    ...read,
    summary: 'The named operations that this daemon runs',
    paths: ['/v3/operations'],
    response: z.object({ operations: z.array(OperationInfoSchema) }),
  },
  'operations.run': {
    method: 'POST',
    safety: 'write',
    summary: 'Run a named operation',
    paths: ['/v3/operations/:operationId'],
    params: z.object({ operationId: z.string() }),
    query: none,
    body: RunSchema,
    nullIsEmpty: true,
    status: 200,
    response: OperationReplySchema,
    failsInResponse: true,
    errors: [...WRITE_ERRORS, 'not-found', 'not-in-this-build'],
  },
} as const satisfies Record<string, Operation>;
