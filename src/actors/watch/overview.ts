import { isRunning } from '../../protocol/background.ts';
import {
  OVERVIEW_MAX,
  type OverviewAsk,
  type OverviewJob,
  type OverviewSession,
} from '../../protocol/feeds/overview.ts';
import type { PresenceEntry } from '../../protocol/session.ts';
import { openRequests, type SessionState } from '../../protocol/session-state.ts';
import { whyLive, whySlot } from '../inspection.ts';
import type { Limits } from '../limits.ts';
import type { SessionActor, Slot } from '../registry.ts';
import type { LiveOverview } from '../runtime.ts';

/** The sessions that are held in memory, as a dashboard shows them. Reads snapshots only; no log, no fold, whatever their number. */
export const liveOverview = (
  slots: ReadonlyMap<string, Slot>,
  presence: (sessionId: string) => PresenceEntry[],
  limits: Limits,
  now: number,
): LiveOverview => {
  const live: { actor: SessionActor; f: SessionState }[] = [];
  const words = new Map<string, string>();
  const jobs: OverviewJob[] = [];
  let [jobCount, marks] = [0, 0];
  for (const [sessionId, slot] of slots) {
    if (slot.state !== 'live') {
      words.set(sessionId, whySlot(sessionId, slot, now).state);
      continue;
    }
    const { f } = slot.actor.getSnapshot().context;
    live.push({ actor: slot.actor, f });
    marks += f.seq;
    for (const p of f.background.filter(isRunning)) {
      jobCount += 1;
      if (jobs.length < OVERVIEW_MAX.jobs) jobs.push(jobOf(sessionId, p));
    }
  }
  live.sort((a, b) => (a.f.updatedAt < b.f.updatedAt ? 1 : -1));
  return {
    sessions: live.slice(0, OVERVIEW_MAX.sessions).map(({ actor, f }) => sessionOf(actor, f, presence, limits)),
    liveCount: live.length,
    words,
    jobs,
    jobCount,
    mark: `${live.length}.${marks}.${words.size}`,
  };
};

const sessionOf = (
  actor: SessionActor,
  f: SessionState,
  presence: (sessionId: string) => PresenceEntry[],
  limits: Limits,
): OverviewSession => {
  const present = presence(f.sessionId);
  const { active } = f;
  return {
    sessionId: f.sessionId,
    ...(f.title === undefined ? {} : { title: f.title }),
    model: f.model,
    ...(f.workspace === undefined ? {} : { workspace: f.workspace }),
    updatedAt: f.updatedAt,
    state: whyLive(actor, limits).state,
    active: active && {
      turnId: active.turnId,
      writerId: active.writerId,
      startedAt: active.startedAt,
      toolCalls: active.toolCalls,
    },
    queued: f.queue.slice(0, OVERVIEW_MAX.queued).map(({ turnId, writerId, content }) => ({
      turnId,
      writerId,
      content: content.slice(0, OVERVIEW_MAX.contentChars),
    })),
    queuedCount: f.queue.length,
    asks: asksOf(f),
    presence: present.slice(0, OVERVIEW_MAX.presence),
    presenceCount: present.length,
    live: true,
  };
};

const asksOf = (f: SessionState): OverviewAsk[] =>
  openRequests(f)
    .slice(0, OVERVIEW_MAX.asks)
    .map(({ call, asked }) => ({
      requestId: asked.requestId,
      turnId: f.active?.turnId ?? '',
      toolName: call.name,
      summary: asked.summary.slice(0, OVERVIEW_MAX.summaryChars),
      expiresAt: asked.expiresAt,
      ...(asked.question === undefined ? {} : { question: true as const }),
    }));

const jobOf = (sessionId: string, p: SessionState['background'][number]): OverviewJob => ({
  sessionId,
  processId: p.processId,
  command: p.command.slice(0, OVERVIEW_MAX.commandChars),
  startedAt: p.startedAt,
  state: p.state,
});
