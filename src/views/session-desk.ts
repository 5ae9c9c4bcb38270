import { createStore, type Store } from '@xstate/store';
import type { SessionLink } from '../client/session-link.ts';
import type { View } from '../client/session-view.ts';
import { toOptaError } from '../protocol/errors.ts';
import type { LogRecord } from '../protocol/events.ts';
import { type Card, cardsOf } from './cards.ts';

/** Something that a person should know now. */
export interface Notice {
  id: number;
  tone: 'note' | 'good' | 'bad';
  text: string;
}

/** What a person has before them in one session: the fold of its log, and what is theirs alone. Immutable. */
export interface Desk {
  view: View;
  /** The request that is to be shown, or null. */
  card: Card | null;
  /** All that wait, those put off included. */
  cards: readonly Card[];
  /** Since when `card` is shown: a key that was on its way when it came up decides nothing. */
  cardSinceMs: number;
  /** Requests that were put off. */
  aside: readonly string[];
  /** Requests whose decision is on its way. */
  deciding: readonly string[];
  /** Tool cards and thoughts that somebody has opened or closed, by id; the others are as they are by default. */
  folds: { readonly [id: string]: boolean };
  notices: readonly Notice[];
}

const NOTICES_MAX = 20;
/** What is this much older than the desk is history. */
const HISTORY_MS = 1_000;

type DeskEvents = {
  viewed: { view: View; record: LogRecord | null; nowMs: number };
  putOff: { nowMs: number };
  broughtBack: { nowMs: number };
  deciding: { requestId: string; nowMs: number };
  undecided: { requestId: string; nowMs: number };
  folded: { id: string; open: boolean };
  said: { text: string; tone: Notice['tone'] };
  unsaid: { id: number };
};
export type DeskStore = Store<Desk, DeskEvents, never>;

let lastNotice = 0;

/** Pure: what was seen and done makes the next desk. */
export const deskStore = (view: View): DeskStore =>
  createStore({
    context: {
      view,
      card: null,
      cards: [],
      cardSinceMs: 0,
      aside: [],
      deciding: [],
      folds: {},
      notices: [],
    } as Desk,
    on: {
      viewed: (desk, { view: next, record, nowMs }: DeskEvents['viewed']) => {
        const said = record === null ? null : decidedElsewhere(desk, record);
        const seen = next.state === desk.view.state ? { ...desk, view: next } : dealt({ ...desk, view: next }, nowMs);
        return said === null ? seen : noticed(seen, said, 'note');
      },
      putOff: (desk, { nowMs }: DeskEvents['putOff']) =>
        desk.card ? dealt({ ...desk, aside: [...desk.aside, desk.card.requestId] }, nowMs) : desk,
      broughtBack: (desk, { nowMs }: DeskEvents['broughtBack']) => dealt({ ...desk, aside: [] }, nowMs),
      deciding: (desk, { requestId, nowMs }: DeskEvents['deciding']) =>
        dealt({ ...desk, deciding: [...desk.deciding, requestId] }, nowMs),
      undecided: (desk, { requestId, nowMs }: DeskEvents['undecided']) =>
        dealt({ ...desk, deciding: desk.deciding.filter((id) => id !== requestId) }, nowMs),
      folded: (desk, { id, open }: DeskEvents['folded']) => ({ ...desk, folds: { ...desk.folds, [id]: open } }),
      said: (desk, { text, tone }: DeskEvents['said']) => noticed(desk, text, tone),
      unsaid: (desk, { id }: DeskEvents['unsaid']) => ({
        ...desk,
        notices: desk.notices.filter((notice) => notice.id !== id),
      }),
    },
  }) as DeskStore;

/** Which card is shown, after something has changed. What no longer waits is forgotten. */
const dealt = (desk: Desk, nowMs: number): Desk => {
  const cards = cardsOf(desk.view);
  const waits = (id: string): boolean => cards.some((card) => card.requestId === id);
  const aside = desk.aside.filter(waits);
  const deciding = desk.deciding.filter(waits);
  const card = cards.find(({ requestId }) => !aside.includes(requestId) && !deciding.includes(requestId)) ?? null;
  const same = card !== null && card.requestId === desk.card?.requestId;
  return { ...desk, cards, aside, deciding, card, cardSinceMs: same ? desk.cardSinceMs : nowMs };
};

const noticed = (desk: Desk, text: string, tone: Notice['tone']): Desk => {
  lastNotice += 1;
  return { ...desk, notices: [...desk.notices, { id: lastNotice, tone, text }].slice(-NOTICES_MAX) };
};

/** [PM2] Who was first, when a card goes that this person has not answered. */
const decidedElsewhere = (desk: Desk, record: LogRecord): string | null => {
  if (record.event !== 'permission.resolved') return null;
  const { requestId, toolName, decision, decidedBy, answer } = record.payload;
  const shown = desk.cards.some((card) => card.requestId === requestId);
  if (!shown || desk.deciding.includes(requestId)) return null;
  const done = answer !== undefined ? 'answered' : decision === 'allow' ? 'allowed' : 'denied';
  return `${toolName}: ${done} by ${decidedBy}`;
};

export interface Answer {
  decision: 'allow' | 'deny';
  /** Words for a question. */
  answer?: string;
  /** Not to be asked again about this tool in this session. */
  remember?: 'session' | 'workspace';
}

/**
 * One person's place at one session: the store above, fed by a link, and the commands of the link with their failures told as
 * notices. The terminal and the page are two faces of it.
 */
export class SessionDesk {
  readonly link: SessionLink;
  readonly store: DeskStore;
  readonly #now: () => number;
  readonly #undo: (() => void)[];

  constructor(link: SessionLink, now: () => number = Date.now) {
    this.link = link;
    this.#now = now;
    this.store = deskStore(link.view.current);
    const beganMs = now() - HISTORY_MS;
    const look = (view: View, record: LogRecord | null): void => {
      // What was decided before this person came is no news to them.
      const news = record !== null && Date.parse(record.ts) >= beganMs ? record : null;
      this.store.trigger.viewed({ view, record: news, nowMs: now() });
    };
    look(link.view.current, null);
    this.#undo = [
      link.view.subscribe(look),
      link.on('reconnect', () => this.say('connected again', 'good')),
      link.on('notice', (error) => this.say(error.message, 'bad')),
    ];
  }

  get desk(): Desk {
    return this.store.getSnapshot().context;
  }

  say(text: string, tone: Notice['tone'] = 'note'): void {
    this.store.trigger.said({ text, tone });
  }

  /** Whether something is open that is folded by default, or the other way round. */
  isOpen(id: string, byDefault = false): boolean {
    return this.desk.folds[id] ?? byDefault;
  }

  toggle(id: string, byDefault = false): void {
    this.store.trigger.folded({ id, open: !this.isOpen(id, byDefault) });
  }

  putOff(): void {
    this.store.trigger.putOff({ nowMs: this.#now() });
  }

  bringBack(): void {
    this.store.trigger.broughtBack({ nowMs: this.#now() });
  }

  /** Takes the card away at once; brings it back when the answer did not arrive. Never rejects. */
  async decide(card: Card, { decision, ...more }: Answer): Promise<void> {
    this.store.trigger.deciding({ requestId: card.requestId, nowMs: this.#now() });
    try {
      await this.link.decide(card.requestId, decision, more);
    } catch (cause) {
      const error = toOptaError(cause);
      const { decidedBy } = error.facts;
      const late = error.code === 'permission-resolved' && typeof decidedBy === 'string';
      this.say(late ? `${card.toolName}: ${decidedBy} was first` : error.message, late ? 'note' : 'bad');
      this.store.trigger.undecided({ requestId: card.requestId, nowMs: this.#now() });
    }
  }

  /** Resolves when what it hit has ended. Never rejects. */
  async cancel(target: { turnId?: string; callId?: string; writerId?: string }): Promise<void> {
    this.say('cancelling');
    try {
      const { cancelled } = await this.link.cancel(target);
      this.say(cancelled === 0 ? 'it had ended already' : 'cancelled');
    } catch (cause) {
      this.say(toOptaError(cause).message, 'bad');
    }
  }

  close(): void {
    for (const undo of this.#undo) undo();
    this.link.close();
  }
}
