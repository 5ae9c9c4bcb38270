import type { InspectMessage } from '../../../protocol/feeds/inspection.ts';
import type { InspectedActor } from '../../../protocol/inspection.ts';
import { stateWords } from '../../../views/chart.ts';

/** What became of an actor in one step. */
export interface Change {
  /** Counts up, and never twice. */
  n: number;
  atMs: number;
  /** The actor's path. */
  id: string;
  chart: string;
  /** The event's type; `begins` of an actor that is new. */
  event: string;
  from: unknown;
  to: unknown;
  /** Set when it was the actor's last. */
  end: 'done' | 'error' | 'stopped' | null;
  /** Steps before this one that were not told. */
  skipped: number;
}

/** One moment of the feed; another object whenever something has changed. */
export interface Picture {
  /** Null: nothing lives, or nothing was told yet. */
  root: InspectedActor | null;
  /** Whether a whole picture has been told. */
  isTold: boolean;
  count: number;
  /** Newest first. */
  changes: readonly Change[];
  /** The last change of each living actor, by its path. */
  last: ReadonlyMap<string, Change>;
  /** How the actors that ended a short while ago looked last, by path; for whoever has one of them open. */
  ended: ReadonlyMap<string, InspectedActor>;
  messages: number;
}

export const CHANGES_MAX = 200;
export const RAW_MAX = 1_000;
export const RAW_CHARS_MAX = 2_000_000;
const ENDED_MAX = 50;

interface Known extends Omit<InspectedActor, 'children'> {
  key: string;
  children: Known[];
}

type Actor = Extract<InspectMessage, { type: '@xstate.actor' }>;
type Snapshot = Extract<InspectMessage, { type: '@xstate.snapshot' }>;

/**
 * The feed's messages as a tree of what lives now, what changed last, and the messages themselves as they came, each within a
 * bound. `take` is cheap, so that a flood can be taken in whole; `picture` builds what is drawn, once a frame.
 */
export class LiveActors {
  readonly #actors = new Map<string, Known>();
  readonly #changes: Change[] = [];
  readonly #last = new Map<string, Change>();
  readonly #ended = new Map<string, InspectedActor>();
  #raw: string[] = [];
  #rawChars = 0;
  #count = 0;
  #messages = 0;
  #picture: Picture | null = null;
  /** In the middle of a picture: as many actors are still to come, which are there and have not begun now. */
  #awaited = 0;
  #isTold = false;

  /** Returns the path of the actor whose state or facts are others than before, or null. */
  take(message: InspectMessage): string | null {
    this.#messages += 1;
    this.#picture = null;
    this.#keep(message);
    switch (message.type) {
      case '@opta.picture':
        this.#actors.clear();
        this.#last.clear();
        this.#awaited = message.actors;
        this.#isTold = true;
        return null;
      case '@xstate.actor':
        return this.#enter(message);
      case '@xstate.snapshot':
        return this.#move(message);
      case '@xstate.event':
        return null;
    }
  }

  get picture(): Picture {
    this.#picture ??= {
      root: treeOf([...this.#actors.values()]),
      isTold: this.#isTold,
      count: this.#actors.size,
      changes: this.#changes.toReversed(),
      last: new Map(this.#last),
      ended: new Map(this.#ended),
      messages: this.#messages,
    };
    return this.#picture;
  }

  /** The messages as they came, oldest first, one JSON text each. */
  get raw(): readonly string[] {
    return this.#raw;
  }

  #enter(m: Actor): string {
    const known = knownOf(m, m.snapshot);
    this.#actors.set(known.key, known);
    this.#ended.delete(m.id);
    if (this.#awaited > 0) this.#awaited -= 1;
    else this.#note(m, { event: 'begins', from: null, to: known.state, end: null, skipped: 0 });
    return m.id;
  }

  #move(m: Snapshot): string | null {
    const before = this.#actors.get(keyOf(m));
    const now = knownOf(m, m.snapshot);
    const { status } = m.snapshot;
    const end = status === 'active' ? null : status;
    const from = before?.state ?? null;
    const moved = stateWords(from) !== stateWords(now.state);
    if (moved || end !== null) {
      this.#note(m, { event: m.event.type, from, to: now.state, end, skipped: m.skipped ?? 0 });
    }
    if (end === null) {
      this.#actors.set(now.key, now);
    } else {
      this.#actors.delete(now.key);
      this.#last.delete(m.id);
      this.#ended.delete(m.id);
      this.#ended.set(m.id, { ...now, children: [] });
      if (this.#ended.size > ENDED_MAX) this.#ended.delete(this.#ended.keys().next().value as string);
    }
    return moved || end !== null || factsDiffer(before, now) ? m.id : null;
  }

  #note(m: Actor | Snapshot, change: Pick<Change, 'event' | 'from' | 'to' | 'end' | 'skipped'>): void {
    // Its first state follows its beginning: one row for both.
    const begun = change.event === 'xstate.init' ? this.#last.get(m.id) : undefined;
    if (begun?.event === 'begins' && begun.to === null) return this.#replace(begun, { ...begun, to: change.to });
    this.#count += 1;
    const whole: Change = { n: this.#count, atMs: Number(m.createdAt), id: m.id, chart: m.chart, ...change };
    this.#changes.push(whole);
    if (this.#changes.length > CHANGES_MAX) this.#changes.shift();
    this.#last.set(m.id, whole);
  }

  #replace(old: Change, change: Change): void {
    const at = this.#changes.lastIndexOf(old);
    if (at >= 0) this.#changes[at] = change;
    this.#last.set(change.id, change);
  }

  #keep(message: InspectMessage): void {
    const text = JSON.stringify(message);
    this.#raw.push(text);
    this.#rawChars += text.length;
    if (this.#raw.length <= RAW_MAX && this.#rawChars <= RAW_CHARS_MAX) return;
    // A tenth at once: not a shift for each message of a flood.
    const gone = this.#raw.splice(0, Math.max(1, Math.ceil(this.#raw.length / 10)));
    for (const old of gone) this.#rawChars -= old.length;
  }
}

/** Every session is a system of its own, so an actor is the pair of both. */
const keyOf = (m: { rootId: string; sessionId: string }): string => `${m.rootId} ${m.sessionId}`;

const knownOf = (m: Actor | Snapshot, snapshot: Actor['snapshot']): Known => ({
  key: keyOf(m),
  id: m.id,
  chart: m.chart,
  state: snapshot.value ?? null,
  facts: snapshot.context,
  children: [],
});

/** What moves with every piece of text is no news. */
const MOVING = new Set(['seq', 'afterSeq']);

const factsDiffer = (a: Known | undefined, b: Known): boolean => {
  const names = new Set([...Object.keys(a?.facts ?? {}), ...Object.keys(b.facts)]);
  return [...names].some((name) => !MOVING.has(name) && !same(a?.facts[name], b.facts[name]));
};
const same = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

/** By their paths: `a/b` is below `a`, and what has nothing above it is below the daemon, or beside it. */
const treeOf = (actors: readonly Known[]): InspectedActor | null => {
  const nodes = new Map<string, InspectedActor>();
  for (const { id, chart, state, facts } of actors) nodes.set(id, { id, chart, state, facts, children: [] });
  const tops: InspectedActor[] = [];
  for (const node of nodes.values()) (above(node.id, nodes)?.children ?? tops).push(node);
  const daemon = tops.find((top) => top.chart === 'daemon');
  if (daemon) {
    daemon.children.push(...tops.filter((top) => top !== daemon));
    return daemon;
  }
  if (tops.length <= 1) return tops[0] ?? null;
  return { id: '', chart: 'actors', state: null, facts: {}, children: tops };
};

/** A part of a path may have a slash itself, so the nearest that is known is taken. */
const above = (id: string, nodes: ReadonlyMap<string, InspectedActor>): InspectedActor | undefined => {
  for (let at = id.lastIndexOf('/'); at > 0; at = id.lastIndexOf('/', at - 1)) {
    const found = nodes.get(id.slice(0, at));
    if (found) return found;
  }
  return undefined;
};

/** The session whose log an actor writes to; null for the daemon itself. */
export const sessionOf = (id: string): string | null => {
  const [top = ''] = id.split('/');
  return top === '' || top === 'daemon' ? null : top;
};
