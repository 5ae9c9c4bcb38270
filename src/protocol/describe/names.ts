import { z } from 'zod';
import { BackgroundChunkSchema, BackgroundProcessSchema, SignalSchema } from '../background.ts';
import { EnvelopeSchema } from '../envelope.ts';
import { ResolveReasonSchema, SessionChangeSchema } from '../events.ts';
import { SessionIdSchema, TurnIdSchema } from '../ids.ts';
import { InspectedActorSchema } from '../operations/daemon.ts';
import { OperationInfoSchema, SafetySchema } from '../operations/named.ts';
import { OPERATIONS } from '../operations.ts';
import { MessageSchema, PresenceEntrySchema, RoleSchema, SessionSnapshotSchema, ToolCallSchema } from '../session.ts';
import {
  DecisionSchema,
  ModeSchema,
  OnBusySchema,
  OverridesSchema,
  QueuedTurnSchema,
  StatsSchema,
  UsageSchema,
} from '../turn.ts';
import { ErrorBodySchema, ErrorCodeSchema, ProblemSchema, SessionStateSchema } from './outbound.ts';

const NAMED: { readonly [name: string]: z.ZodType } = {
  BackgroundChunk: BackgroundChunkSchema,
  BackgroundProcess: BackgroundProcessSchema,
  Decision: DecisionSchema,
  Error: ErrorBodySchema,
  ErrorCode: ErrorCodeSchema,
  Event: EnvelopeSchema,
  Gauge: OPERATIONS['v3.metrics'].response.shape.limits.element,
  Health: OPERATIONS['v3.health'].response,
  InspectedActor: InspectedActorSchema,
  Message: MessageSchema,
  Mode: ModeSchema,
  NamedOperation: OperationInfoSchema,
  OnBusy: OnBusySchema,
  Overrides: OverridesSchema,
  PresenceEntry: PresenceEntrySchema,
  Problem: ProblemSchema,
  QueuedTurn: QueuedTurnSchema,
  ResolveReason: ResolveReasonSchema,
  Role: RoleSchema,
  RuntimeFacts: OPERATIONS['v3.health'].response.shape.runtime,
  RuntimeState: OPERATIONS['v3.health'].response.shape.state,
  Safety: SafetySchema,
  SessionChange: SessionChangeSchema,
  SessionId: SessionIdSchema,
  SessionIndexEntry: OPERATIONS['sessions.list'].response.shape.sessions.element,
  SessionSnapshot: SessionSnapshotSchema,
  SessionState: SessionStateSchema,
  Signal: SignalSchema,
  Stats: StatsSchema,
  ToolCall: ToolCallSchema,
  TurnId: TurnIdSchema,
  Usage: UsageSchema,
};

/** Names of schemas that several places use. A generated client's types are called so: a name that was published stays. */
export const NAMES = z.registry<{ id: string }>();
for (const [id, schema] of Object.entries(NAMED)) NAMES.add(schema, { id });
