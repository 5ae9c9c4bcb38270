import { freshId } from '../../client/control.ts';
import type { OptaClient } from '../../client/index.ts';
import type { LinkOptions, LinkTurn, SessionLink } from '../../client/session-link.ts';
import type { TurnView } from '../../client/turn-view.ts';
import { OptaError } from '../../protocol/errors.ts';
import { isTerminal, type LogRecord } from '../../protocol/events.ts';
import { openRequests, type SessionState } from '../../protocol/session-state.ts';
import type { Mode, Overrides } from '../../protocol/turn.ts';

/** How the turns of this conversation are asked for; slash commands change it. */
export interface TurnSettings {
  mode: Mode;
  overrides: Overrides;
}

const TITLE_CHARS_MAX = 80;

/** One person's place in a session, and how they ask. The place can be changed for one in another session. */
export class Conversation {
  readonly client: OptaClient;
  readonly writerId: string;
  readonly settings: TurnSettings;
  readonly #clientId: string;
  readonly #options: LinkOptions;
  #link: SessionLink | null = null;
  /** Turns of this very program: the same person may sit at another terminal too. */
  readonly #keys = new Set<string>();
  readonly #mine = new Set<string>();

  constructor(client: OptaClient, program: string, writerId: string, settings: TurnSettings, options: LinkOptions) {
    this.client = client;
    this.writerId = writerId;
    this.settings = settings;
    this.#clientId = `${program}-${process.pid}-${freshId().slice(0, 6)}`;
    this.#options = options;
  }

  get link(): SessionLink {
    if (this.#link) return this.#link;
    throw new OptaError('internal', 'The conversation has no session yet');
  }

  get sessionId(): string {
    return this.link.sessionId;
  }

  /** Takes a place in this session, and leaves the one before. */
  open(sessionId: string): SessionLink {
    this.#link?.close();
    const who = { clientId: this.#clientId, writerId: this.writerId, role: 'controller' as const };
    const link = this.client.session(sessionId, { ...who, ...this.#options });
    link.on('event', ({ record }) => this.#note(record));
    this.#link = link;
    return link;
  }

  /** A turn as this conversation asks for it. */
  turn(content: string): LinkTurn {
    const { mode, overrides } = this.settings;
    return { content, mode, overrides, idempotencyKey: freshId() };
  }

  /** Resolves with the turn's end, whatever it is. Aborting cancels it. */
  async run(content: string, signal: AbortSignal): Promise<TurnView> {
    const turn = this.turn(content);
    this.#keys.add(turn.idempotencyKey as string);
    try {
      return await this.link.run(turn, { signal });
    } finally {
      this.#keys.delete(turn.idempotencyKey as string);
    }
  }

  /** The first words of a session are its title, until somebody gives it another. */
  async name(text: string): Promise<void> {
    const title = text.replace(/\s+/g, ' ').trim().slice(0, TITLE_CHARS_MAX);
    await this.client.call('sessions.patch', { params: { id: this.sessionId }, body: { title } });
  }

  isMine(turnId: string | undefined): boolean {
    return turnId !== undefined && this.#mine.has(turnId);
  }

  close(): void {
    this.#link?.close();
    this.client.close();
  }

  #note(record: LogRecord): void {
    if (record.event === 'turn.queued' && this.#keys.has(record.payload.idempotencyKey ?? ''))
      this.#mine.add(record.payload.turnId);
    // Whoever else listens to this event may still ask whose it was.
    if (isTerminal(record)) setImmediate(() => this.#mine.delete((record.payload as { turnId: string }).turnId));
  }
}

const LOAD_DEADLINE_MS = 5_000;

/** Resolves when the link has a picture of its session; rejects when it is over before, or takes too long. */
export const loaded = (link: SessionLink): Promise<void> =>
  new Promise((resolve, reject) => {
    if (link.view.state.seq > 0) return resolve();
    const settle = (error: OptaError | null): void => {
      clearTimeout(timer);
      undo();
      if (error) reject(error);
      else resolve();
    };
    const undo = link.view.subscribe((view) => {
      if (view.state.seq > 0) settle(null);
    });
    const late = new OptaError('daemon-unreachable', 'The event plane did not open in time');
    const timer = setTimeout(() => settle(late), LOAD_DEADLINE_MS);
    void link.ended.then((error) => settle(error ?? new OptaError('cancelled', 'The link was closed')));
  });

/** The requests that waited for a decision before this client came. */
export const openAsks = (state: SessionState): LogRecord[] =>
  openRequests(state).map(({ call, asked: { state: _, ...asked } }) => ({
    event: 'permission.request',
    seq: state.seq,
    ts: state.updatedAt,
    payload: { turnId: state.active?.turnId ?? '', callId: call.id, toolName: call.name, args: {}, ...asked },
  }));
