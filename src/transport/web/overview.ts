import { LIMITS } from '../../actors/limits.ts';
import type { IndexEntry } from '../../actors/ports.ts';
import type { LiveOverview } from '../../actors/runtime.ts';
import { OVERVIEW_MAX, type Overview, type OverviewSession } from '../../protocol/feeds/overview.ts';
import { type HandlerDeps, within } from '../handlers/deps.ts';
import { runtimeFacts, uptimeSeconds } from '../handlers/health.ts';
import { levels } from '../handlers/metrics.ts';
import { LoopDelay } from '../loop-delay.ts';
import type { SseAnswer, SseStream } from '../sse.ts';
import { HostModels } from './host-models.ts';

/** What moves whether or not anything happens. */
type Figures = Pick<Overview, 'loop' | 'memory' | 'limits'>;
/** All else, as one text: when it is another, something has changed. */
type Still = Omit<Overview, keyof Figures | 'ts' | 'uptime'>;

/**
 * The overview, once or for whoever watches ([FD1]): one look serves all, and none is taken while there is none. A stream with bytes to
 * take is passed over and gets the newest later ([FD2]).
 *
 * A look reads what is in memory. Sleeping sessions come from the index, which is read when something was stored since, and every
 * `overviewEveryMs` at most; the inference host is asked in the background.
 */
export class OverviewFeed {
  readonly #deps: HandlerDeps;
  readonly #watching = new Map<SseStream, { print: string; atMs: number }>();
  readonly #models: HostModels;
  #loop: LoopDelay | null = null;
  #figures: { of: Figures; atMs: number } | null = null;
  #recent: { entries: IndexEntry[]; mark: string; atMs: number } | null = null;
  #listing: Promise<void> | null = null;
  #timer: unknown = null;

  constructor(deps: HandlerDeps) {
    this.#deps = deps;
    this.#models = new HostModels(deps);
  }

  async once(): Promise<Overview> {
    this.#models.ask();
    await this.#list(this.#deps.runtime.overview());
    // Of nobody's stream: the event loop is measured only while somebody watches.
    return this.#body(this.#still(this.#deps.runtime.overview()), this.#figures?.of ?? this.#measure());
  }

  async stream(): Promise<SseAnswer> {
    await this.#list(this.#deps.runtime.overview());
    return this.#deps.streams.answer((stream) => {
      this.#begin();
      const still = this.#still(this.#deps.runtime.overview());
      this.#tell(stream, this.#textOf(still), printOf(still));
      return {
        drain: () => undefined,
        closed: () => {
          this.#watching.delete(stream);
          if (this.#watching.size === 0) this.#end();
        },
      };
    });
  }

  #begin(): void {
    this.#models.ask();
    if (this.#timer !== null) return;
    this.#loop = new LoopDelay();
    this.#figures = null;
    this.#timer = this.#deps.timers.setTimeout(this.#look, LIMITS.overviewLookMs);
  }

  #end(): void {
    this.#deps.timers.clearTimeout(this.#timer);
    this.#timer = null;
    this.#loop?.close();
    this.#loop = null;
    this.#figures = null;
  }

  readonly #look = (): void => {
    const { runtime, timers, now } = this.#deps;
    this.#timer = timers.setTimeout(this.#look, LIMITS.overviewLookMs);
    this.#models.ask();
    const live = runtime.overview();
    if (this.#isStale(live)) void this.#list(live);
    const still = this.#still(live);
    const print = printOf(still);
    let text: string | null = null;
    for (const [stream, told] of this.#watching) {
      const due = print !== told.print || now() - told.atMs >= LIMITS.overviewEveryMs;
      if (!due || stream.bufferedBytes() > 0) continue;
      text ??= this.#textOf(still);
      this.#tell(stream, text, print);
    }
  };

  #tell(stream: SseStream, text: string, print: string): void {
    this.#watching.set(stream, { print, atMs: this.#deps.now() });
    stream.message(text);
  }

  #textOf(still: Still): string {
    const now = this.#deps.now();
    if (!this.#figures || now - this.#figures.atMs >= LIMITS.overviewEveryMs) {
      this.#figures = { of: this.#measure(), atMs: now };
    }
    return JSON.stringify(this.#body(still, this.#figures.of));
  }

  #body(still: Still, figures: Figures): Overview {
    return { ts: new Date(this.#deps.now()).toISOString(), uptime: uptimeSeconds(), ...still, ...figures };
  }

  #measure(): Figures {
    const { rss, heapUsed } = process.memoryUsage();
    const delay = this.#loop?.read();
    return {
      // The first look begins the measure.
      loop: delay && this.#figures ? { p50Ms: ms(delay.p50), p99Ms: ms(delay.p99), maxMs: ms(delay.max) } : null,
      memory: { rssBytes: rss, heapUsedBytes: heapUsed },
      limits: levels(this.#deps).limits,
    };
  }

  #still(live: LiveOverview): Still {
    const deps = this.#deps;
    const health = deps.runtime.health();
    const { engine, connection } = deps.facts();
    const held = new Set(live.sessions.map(({ sessionId }) => sessionId));
    const asleep = (this.#recent?.entries ?? [])
      .filter(({ sessionId }) => !held.has(sessionId))
      .slice(0, OVERVIEW_MAX.sessions - live.sessions.length)
      .map((entry) => this.#sleeping(entry, live));
    return {
      daemonId: deps.runtime.daemonId,
      version: deps.version,
      state: health.state,
      runtime: runtimeFacts(deps, health),
      transport: deps.transport,
      engine,
      storage: health.storage,
      lmx: deps.lmx && connection ? { ...connection, away: deps.lmx.admin.away, ...this.#models.asked } : null,
      models: this.#models.known,
      sessions: [...live.sessions, ...asleep],
      liveCount: live.liveCount,
      jobs: live.jobs,
      jobCount: live.jobCount,
      quarantined: health.quarantined,
    };
  }

  #sleeping(entry: IndexEntry, { words }: LiveOverview): OverviewSession {
    const { sessionId, title, model, workspace, updatedAt, queuedTurns } = entry;
    const present = this.#deps.runtime.presence(sessionId);
    return {
      sessionId,
      ...(title === undefined ? {} : { title }),
      model,
      ...(workspace === undefined ? {} : { workspace }),
      updatedAt,
      state: words.get(sessionId) ?? 'idle',
      active: null,
      queued: [],
      queuedCount: queuedTurns,
      asks: [],
      presence: present.slice(0, OVERVIEW_MAX.presence),
      presenceCount: present.length,
      live: false,
    };
  }

  #markOf(live: LiveOverview): string {
    return `${live.mark}.${this.#deps.runtime.health().sessionCount}`;
  }

  #isStale(live: LiveOverview): boolean {
    const recent = this.#recent;
    if (!recent) return true;
    return this.#deps.now() - recent.atMs >= LIMITS.overviewEveryMs && recent.mark !== this.#markOf(live);
  }

  /** Reads the index unless it is known. One reading serves all who ask meanwhile; one that fails leaves what was known. */
  #list(live: LiveOverview): Promise<void> {
    if (!this.#isStale(live)) return Promise.resolve();
    const mark = this.#markOf(live);
    const { runtime, now } = this.#deps;
    this.#listing ??= within<{ sessions: IndexEntry[] }>(this.#deps, (done) =>
      runtime.list({ limit: OVERVIEW_MAX.sessions }, done),
    )
      .then(
        ({ sessions }) => {
          this.#recent = { entries: sessions, mark, atMs: now() };
        },
        () => {
          // Health says what is wrong with the storage.
          this.#recent = { entries: this.#recent?.entries ?? [], mark: '', atMs: now() };
        },
      )
      .finally(() => {
        this.#listing = null;
      });
    return this.#listing;
  }
}

const ms = (seconds: number): number => Math.round(seconds * 1e6) / 1e3;

/** What a person would care about: not where readers have come to, nor what moves with every request. */
const printOf = (still: Still): string => {
  const sessions = still.sessions.map((s) => ({
    ...s,
    presence: s.presence.map((p) => ({ ...p, cursor: 0, lag: 0 })),
  }));
  return JSON.stringify({ ...still, sessions, runtime: { ...still.runtime, latency: null, ingressSeq: null } });
};
