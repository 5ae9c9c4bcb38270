import { z } from 'zod';

/**
 * What live actors do, in the shape of the events of `@statelyai/inspect` 0.7, so that tools for it can read them. `sessionId`,
 * `rootId`, `parentId` and `sourceId` are XState's names of actors ("x:3"), one for each actor that this daemon ever had, and have
 * nothing to do with our sessions; each session, and the daemon's own actor, is a root. Added: `chart`, and `id`, which is the actor's id
 * in `/v3/inspect`.
 *
 * Contexts hold the few scalar facts that `/v3/inspect` shows; events are their type and scalar ids. No prompt, no token of text
 * and no argument of a tool is ever in here.
 */
const of = {
  /** Of the actor, in its system. */
  sessionId: z.string(),
  rootId: z.string(),
  /** Milliseconds since 1970, as text. */
  createdAt: z.string(),
  /** The actor's path: `daemon`, `SESSION`, `SESSION/turn/stream` … */
  id: z.string(),
  _version: z.string(),
  /** Name of the statechart, or of the effect. */
  chart: z.string(),
};

const EventSchema = z.looseObject({ type: z.string() });

export const InspectedSnapshotSchema = z.object({
  status: z.enum(['active', 'done', 'error', 'stopped']),
  /** XState's state value; absent for an effect. */
  value: z.unknown().optional(),
  context: z.record(z.string(), z.unknown()),
});
export type InspectedSnapshot = z.infer<typeof InspectedSnapshotSchema>;

/** An actor is there: part of a picture, or just begun. */
export const ActorMessageSchema = z.object({
  type: z.literal('@xstate.actor'),
  name: z.string(),
  parentId: z.string().optional(),
  snapshot: InspectedSnapshotSchema,
  ...of,
});

/** An event was given to an actor. Of many in a short time some are passed over. */
export const EventMessageSchema = z.object({
  type: z.literal('@xstate.event'),
  event: EventSchema,
  sourceId: z.string().optional(),
  ...of,
});

/** The state of an actor after `event`. The last state always comes; `status` other than `active` is the actor's end. */
export const SnapshotMessageSchema = z.object({
  type: z.literal('@xstate.snapshot'),
  event: EventSchema,
  snapshot: InspectedSnapshotSchema,
  /** Events and states of this actor that were passed over since the last one that was told. */
  skipped: z.number().int().optional(),
  ...of,
});

/** Added: forget what was told before. As many `@xstate.actor` follow, which are all that live now. */
export const PictureMessageSchema = z.object({
  type: z.literal('@opta.picture'),
  actors: z.number().int(),
  createdAt: z.string(),
});

export const InspectMessageSchema = z.discriminatedUnion('type', [
  PictureMessageSchema,
  ActorMessageSchema,
  EventMessageSchema,
  SnapshotMessageSchema,
]);
export type InspectMessage = z.infer<typeof InspectMessageSchema>;

/** Actors of one picture. */
export const INSPECTED_ACTORS_MAX = 2_000;
