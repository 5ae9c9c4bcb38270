/** What `inspect` and `why` answer. */
export interface InspectedActor {
  id: string;
  /** Name of the statechart: daemon, session, turn, stream, tool-job, permission; or the effect's name. */
  chart: string;
  /** XState state value, e.g. `{"running":"cancelling"}`; null for an effect. */
  state: unknown;
  /** Facts worth showing: turn id, deadline, call … */
  facts: { [name: string]: unknown };
  /** The chart as Mermaid text with the active states marked; absent for an effect. */
  mermaid?: string;
  children: InspectedActor[];
}

export interface Why {
  sessionId: string;
  /** idle, queued, waiting-for-model, streaming, waiting-for-permission, running-tool, cancelling, recovering, quarantined. */
  state: string;
  /** The same in a sentence. */
  text: string;
  since: string;
  /** Deadline of the wait, when it has one. */
  until?: string;
  /** Who or what can end the wait. */
  unblock?: string;
}
