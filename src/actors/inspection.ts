import type { AnyActorRef, StateValue } from 'xstate';
import type { InspectedActor, Why } from '../protocol/inspection.ts';
import type { SessionState } from '../protocol/session-state.ts';
import { CHARTS, isChartName, toMermaid } from './charts.ts';
import { explain } from './domain/why.ts';
import type { SessionActor, Slot } from './registry.ts';

/** Looks at live actors. Reads snapshots only, so it costs nothing while nobody looks. */

const SRC_TO_CHART: { [src: string]: string } = { toolJob: 'tool-job', backgroundJob: 'background-job' };

interface MachineView {
  value?: StateValue;
  children?: { [id: string]: AnyActorRef | undefined };
  context?: { [key: string]: unknown };
}

export const inspectActor = (actor: AnyActorRef, id: string, chart: string): InspectedActor => {
  const snapshot = actor.getSnapshot() as MachineView | undefined;
  const value = snapshot?.value ?? null;
  const children = Object.entries(snapshot?.children ?? {}).flatMap(([childId, child]) =>
    child ? [inspectActor(child, `${id}/${childId}`, chartOf(child))] : [],
  );
  return {
    id,
    chart,
    state: value,
    facts: facts(snapshot?.context),
    ...(isChartName(chart) && value !== null ? { mermaid: toMermaid(CHARTS[chart], value) } : {}),
    children,
  };
};

export const chartOf = (child: AnyActorRef): string => {
  const src = (child as { src?: unknown }).src;
  return typeof src === 'string' ? (SRC_TO_CHART[src] ?? src) : 'effect';
};

/** The few scalar facts of a context that people ask for. */
export const facts = (context: { [key: string]: unknown } | undefined): { [name: string]: unknown } => {
  const wanted = ['turnId', 'step', 'model', 'mode', 'requestId', 'deadlineMs', 'attempt', 'afterSeq', 'storage'];
  const out: { [name: string]: unknown } = {};
  for (const key of wanted) {
    const value = context?.[key];
    if (value !== undefined && value !== null) out[key] = value;
  }
  const f = context?.f as SessionState | undefined;
  if (f)
    Object.assign(out, {
      seq: f.seq,
      revision: f.revision,
      queued: f.queue.length,
      activeTurnId: f.active?.turnId ?? null,
    });
  return out;
};

/** A slot that holds no actor is shown as what it is. */
export const inspectSlot = (sessionId: string, slot: Slot): InspectedActor =>
  slot.state === 'live'
    ? inspectActor(slot.actor, sessionId, 'session')
    : {
        id: sessionId,
        chart: 'session',
        state: slot.state,
        facts: slot.state === 'quarantined' ? { reason: slot.reason } : { waiting: slot.inbox.length },
        children: [],
      };

export const whyLive = (actor: SessionActor, limits: { cancelDeadlineMs: number }): Why => {
  const snapshot = actor.getSnapshot();
  const turn = snapshot.children.turn?.getSnapshot() as MachineView | undefined;
  const stream = turn?.children?.stream?.getSnapshot() as MachineView | undefined;
  const { f } = snapshot.context;
  const below = {
    session: JSON.stringify(snapshot.value),
    turn: JSON.stringify(turn?.value ?? ''),
    stream: JSON.stringify(stream?.value ?? ''),
    queuedAhead: 0,
  };
  return explain(f, below, limits);
};

export const whySlot = (sessionId: string, slot: Exclude<Slot, { state: 'live' }>, now: number): Why => {
  const since = new Date(slot.state === 'quarantined' ? slot.sinceMs : now).toISOString();
  if (slot.state === 'quarantined') {
    const text = `The session failed again and again and is kept still: ${slot.reason}`;
    return { sessionId, state: 'quarantined', text, since, unblock: 'a restart of the daemon tries again' };
  }
  const text = {
    loading: 'The session is being read from its log.',
    halted: 'A write failed; the session goes on when storage is back.',
    backoff: 'The session failed and will be started again from its log.',
  }[slot.state];
  return {
    sessionId,
    state: 'recovering',
    text,
    since,
    unblock: slot.state === 'halted' ? 'free disk space' : 'itself',
  };
};
