import { toOptaError } from '../protocol/errors.ts';
import { secondsLeft } from '../views/cards.ts';
import { type Desk, SessionDesk } from '../views/session-desk.ts';
import { type Action, Bindings } from './bindings.ts';
import { CardKeys } from './card-keys.ts';
import { Completion } from './completion.ts';
import { Composer } from './composer.ts';
import { edit } from './editing.ts';
import { isThought } from './entry-rows.ts';
import { frameOf } from './frame.ts';
import type { Host } from './host.ts';
import type { Key } from './keys.ts';
import { Lines } from './lines.ts';
import type { Overlay } from './overlay.ts';
import { Overlays } from './overlays.ts';
import { Panel } from './panel.ts';
import type { Row } from './text.ts';
import { Transcript } from './transcript.ts';

/** Where frames go. The tests' one is no terminal. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  paint(rows: readonly Row[], cursor: { x: number; y: number } | null): void;
  /** Forgets what is shown, since somebody else may have written on it. */
  reset(): void;
  /** Asks for attention. */
  bell?(): void;
  /** Names the window. */
  title?(text: string): void;
  /** Gives the terminal back until the shell brings the program to the front again. */
  suspend?(): void;
}

/** At most so many frames a second while text streams; a key is drawn at once. */
const FRAME_MS = 25;
const TICK_MS = 1_000;
const NOTE_MS = 6_000;
/** A second Ctrl+C this soon after one that ended nothing leaves. */
const LEAVE_MS = 3_000;
const HISTORY_SEED_MAX = 50;
const RUNG_KEPT_MAX = 100;
/** What is done to the text that a person writes. */
const WRITING: ReadonlySet<Action> = new Set(['submit', 'newline', 'leave']);

/** The full screen over one session: what the desk says and what keys do. Draws on a canvas, knows no terminal. */
export class App {
  /** Resolves when the person leaves; rejects when the link is over for good. */
  readonly left: Promise<void>;
  readonly #host: Host;
  readonly #canvas: Canvas;
  readonly #bindings: Bindings;
  readonly #composer = new Composer();
  readonly #answer = new Composer();
  readonly #completion: Completion;
  readonly #transcript: Transcript;
  readonly #cards: CardKeys;
  readonly #lines: Lines;
  readonly #overlays: Overlays;
  #desk!: SessionDesk;
  #undo: (() => void)[] = [];
  #overlay: Overlay | null = null;
  #sidebar = false;
  #thoughts = false;
  #note = '';
  #noticeId = 0;
  /** The cards that have rung, the last of them. */
  #rung: readonly string[] = [];
  #answering = '';
  /** What the last Ctrl+C was to end: a command or a turn. */
  #ending: { what: object | string; atMs: number } | null = null;
  #lostSinceMs: number | null = null;
  #noteTimer: NodeJS.Timeout | undefined;
  #frameTimer: NodeJS.Timeout | undefined;
  readonly #tick: NodeJS.Timeout;
  #leave: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(host: Host, canvas: Canvas, sessionId: string) {
    this.#host = host;
    this.#canvas = canvas;
    this.left = new Promise((resolve, reject) => {
      this.#leave = resolve;
      this.#fail = reject;
    });
    this.#bindings = new Bindings(host.keys.overrides);
    this.#completion = new Completion(host, () => this.#schedule());
    this.#transcript = new Transcript((id, byDefault) =>
      this.#desk.isOpen(id, isThought(id) ? this.#thoughts : byDefault),
    );
    this.#cards = new CardKeys(this.#answer, this.#composer);
    const screen = {
      desk: () => this.#desk,
      say: (text: string) => this.#say(text),
      show: (overlay: Overlay | null) => this.#show(overlay),
      follow: (id: string) => this.#follow(id),
      leave: () => this.#leave(),
      draw: () => this.draw(),
    };
    this.#lines = new Lines(host, this.#composer, screen);
    this.#overlays = new Overlays(host, this.#bindings, {
      ...screen,
      act: (action) => this.#do(action),
      write: (text) => this.#lines.write(text),
      editQueued: (turn) => this.#lines.editQueued(turn),
    });
    this.#follow(sessionId);
    this.#sayOfKeys([...host.keys.notes, ...this.#bindings.notes]);
    this.#tick = setInterval(() => this.#ticked(), TICK_MS);
  }

  close(): void {
    clearInterval(this.#tick);
    clearTimeout(this.#frameTimer);
    clearTimeout(this.#noteTimer);
    this.#lines.abort();
    this.#overlay?.close?.();
    for (const undo of this.#undo) undo();
    this.#desk.close();
  }

  /** Now. */
  draw(): void {
    clearTimeout(this.#frameTimer);
    this.#frameTimer = undefined;
    const { desk } = this.#desk;
    const { text, loud } = this.#host.mode();
    const scene = {
      desk,
      mode: text,
      loud,
      composer: desk.card?.question ? this.#answer : this.#composer,
      completion: this.#completion,
      overlay: this.#overlay,
      cardTop: this.#cards.topOf(desk.card),
      sidebar: this.#sidebar,
      note: this.#note,
      lost: this.#lost(desk),
      helpKey: this.#bindings.label('help'),
      nowMs: Date.now(),
    };
    const frame = frameOf(scene, this.#transcript, this.#canvas.width, this.#canvas.height);
    this.#cards.scrolledTo(frame.cardTop);
    this.#canvas.paint(frame.rows, frame.cursor);
    this.#call(desk);
  }

  paste(text: string): void {
    const { card } = this.#desk.desk;
    if (this.#overlay) this.#overlay.paste?.(text);
    else if (card?.question) this.#answer.insert(text);
    else if (!card) this.#composer.paste(text);
    if (!this.#overlay) this.#completion.look(this.#composer);
    this.draw();
  }

  key(key: Key): void {
    this.#act(key);
    this.draw();
  }

  /**
   * Ctrl+C: ends what this person started, then closes what is open; when there is nothing, leaves. What does not end, be it a
   * command that does not listen or a turn of a daemon that is gone, holds nobody: the next one leaves.
   */
  interrupt(): void {
    const what = this.#lines.running ?? this.#ownTurn()?.turnId ?? null;
    const last = this.#ending;
    this.#ending = what === null ? null : { what, atMs: Date.now() };
    if (what !== null && last?.what === what && Date.now() - last.atMs < LEAVE_MS) return this.#leave();
    if (this.#lines.abort() || this.#cancelOwn()) return;
    if (this.#overlay) this.#show(null);
    else this.#leave();
  }

  // --- the session -----------------------------------------------------------------------------------------------------

  #follow(sessionId: string): void {
    for (const undo of this.#undo) undo();
    (this.#desk as SessionDesk | undefined)?.close();
    const link = this.#host.open(sessionId);
    const desk = new SessionDesk(link);
    this.#desk = desk;
    this.#transcript.clear();
    this.#show(null);
    this.#answer.clear();
    let seeded = false;
    const changed = (): void => {
      const now = desk.desk;
      const { state, connection } = now.view;
      if (!seeded && connection === 'open' && state.messages.length > 0) {
        seeded = true;
        const said = state.messages.filter((m) => m.role === 'user').map((m) => m.content);
        this.#composer.remember(said.slice(-HISTORY_SEED_MAX));
      }
      this.#told(now);
      this.#schedule();
    };
    const { unsubscribe } = desk.store.subscribe(changed);
    this.#undo = [unsubscribe];
    void link.ended.then((error) => {
      if (error && this.#desk === desk) this.#fail(error);
    });
  }

  /** What has come up since the last look: a notice, another card, a connection that went. */
  #told({ notices, card, view: { connection } }: Desk): void {
    const last = notices.at(-1);
    if (last && last.id !== this.#noticeId) {
      this.#noticeId = last.id;
      this.#noted(last.text);
    }
    if (card && card.requestId !== this.#answering) {
      this.#answering = card.requestId;
      this.#answer.clear();
    }
    if (connection === 'open') this.#lostSinceMs = null;
    else if (connection === 'waiting') this.#lostSinceMs ??= Date.now();
  }

  /** Outside the screen. Told when it is drawn: a card of long ago, met while the log is read, is gone by then. */
  #call({ card, view: { state } }: Desk): void {
    if (card && !this.#rung.includes(card.requestId) && secondsLeft(card, Date.now()) > 0) {
      this.#rung = [...this.#rung, card.requestId].slice(-RUNG_KEPT_MAX);
      this.#canvas.bell?.();
    }
    this.#canvas.title?.(`opta · ${card ? '? ' : ''}${state.title ?? state.sessionId}`);
  }

  #lost({ view: { connection } }: Desk): string {
    if (connection !== 'waiting' || this.#lostSinceMs === null) return '';
    const s = Math.floor((Date.now() - this.#lostSinceMs) / 1_000);
    const key = this.#bindings.label('reconnect');
    return `The daemon does not answer since ${s} s. Still looking${key === '' ? '' : `; ${key} starts one`}.`;
  }

  #ticked(): void {
    const { view, card } = this.#desk.desk;
    if (view.active || card || this.#overlay || this.#lostSinceMs !== null) this.draw();
  }

  #schedule(): void {
    this.#frameTimer ??= setTimeout(() => this.draw(), FRAME_MS);
  }

  #say(text: string): void {
    this.#desk.say(text);
  }

  /** Of several only the last would be read: they are a page to be closed. */
  #sayOfKeys(notes: readonly string[]): void {
    const [only, another] = notes;
    if (another !== undefined) this.#show(new Panel('keybindings', notes));
    else if (only !== undefined) this.#say(only);
  }

  #noted(text: string): void {
    this.#note = text;
    clearTimeout(this.#noteTimer);
    this.#noteTimer = setTimeout(() => {
      this.#note = '';
      this.draw();
    }, NOTE_MS);
  }

  #show(overlay: Overlay | null): void {
    if (this.#overlay !== overlay) this.#overlay?.close?.();
    this.#overlay = overlay;
    this.#schedule();
  }

  /** One's own running turn, else the last one that waits. */
  #ownTurn(): { turnId: string } | undefined {
    const { active, state } = this.#desk.desk.view;
    const mine = (turn: { writerId: string } | null | undefined): boolean => turn?.writerId === this.#host.writerId;
    return active && mine(active) ? active : state.queue.findLast(mine);
  }

  #cancelOwn(): boolean {
    const target = this.#ownTurn();
    if (!target) return false;
    void this.#desk.cancel({ turnId: target.turnId });
    return true;
  }

  // --- keys ------------------------------------------------------------------------------------------------------------

  #act(key: Key): void {
    const action = this.#bindings.of(key);
    if (action === 'back') return this.#back();
    if (this.#overlay && action !== 'cancel') {
      if (this.#overlay.key(key)) return;
      if (!this.#overlay.writes && (key.name === 'return' || key.text === 'q')) return this.#show(null);
      if (action === undefined) return;
    } else if (this.#cards.key(key, this.#desk)) return;
    else if (this.#completed(key, action)) return;
    if (action !== undefined) return this.#do(action);
    const composer = this.#desk.desk.card?.question ? this.#answer : this.#composer;
    if (this.#overlay || (this.#desk.desk.card && composer === this.#composer)) return;
    this.#transcript.unfocus();
    edit(composer, key);
    if (composer === this.#composer) this.#completion.look(composer);
  }

  /** The list of what can be completed has its keys while it is open. */
  #completed({ name, shift }: Key, action: Action | undefined): boolean {
    const list = this.#completion;
    if (!list.open) return false;
    if (!shift && (name === 'up' || name === 'down')) list.move(name === 'up' ? -1 : 1);
    else if (action === 'accept' || (action === 'submit' && !list.idle)) list.accept(this.#composer);
    else return false;
    return true;
  }

  #back(): void {
    if (this.#overlay) {
      if (!this.#overlay.back?.()) this.#show(null);
    } else if (this.#desk.desk.card) this.#desk.putOff();
    else if (this.#completion.open) this.#completion.close();
    else if (this.#lines.giveUp()) return;
    else if (this.#transcript.focus !== null) this.#transcript.unfocus();
    else if (!this.#lines.abort()) this.#cancelOwn();
  }

  #do(action: Action): void {
    if (this.#overlays.open(action)) return;
    // What a card hides is neither sent nor changed.
    if (this.#desk.desk.card && !this.#overlay && WRITING.has(action)) return;
    this.#actions[action]?.();
  }

  readonly #actions: { readonly [A in Action]?: () => void } = {
    cancel: () => this.interrupt(),
    leave: () => {
      if (this.#composer.empty) this.#leave();
      else this.#composer.delete();
    },
    submit: () => {
      if (this.#composer.empty && this.#transcript.focus) this.#fold();
      else if (this.#composer.enter()) {
        this.#transcript.toEnd();
        void this.#lines.send();
      }
      this.#completion.look(this.#composer);
    },
    newline: () => this.#composer.insert('\n'),
    accept: () => this.#desk.bringBack(),
    redraw: () => this.#canvas.reset(),
    mode: () => this.#host.cycleMode(),
    sidebar: () => {
      this.#sidebar = !this.#sidebar;
      if (this.#sidebar && this.#canvas.width < 80) this.#say('the side needs 80 columns');
    },
    thinking: () => {
      this.#thoughts = !this.#thoughts;
    },
    follow: () => this.#transcript.toEnd(),
    start: () => this.#transcript.toStart(),
    'page-up': () => this.#transcript.scroll(-this.#transcript.page),
    'page-down': () => this.#transcript.scroll(this.#transcript.page),
    'lines-up': () => this.#transcript.scroll(-3),
    'lines-down': () => this.#transcript.scroll(3),
    'card-before': () => void this.#transcript.moveFocus(-1),
    'card-next': () => void this.#transcript.moveFocus(1),
    fold: () => this.#fold(),
    'stop-tool': () => this.#stopTool(),
    reconnect: () => {
      if (this.#lostSinceMs === null) return this.#say('connected');
      const { link } = this.#desk;
      this.#host.revive().then(
        () => link.wake(),
        (cause) => this.#say(toOptaError(cause).message),
      );
    },
    suspend: () => this.#canvas.suspend?.(),
    help: () => this.#help(),
    'help-too': () => this.#help(),
  };

  #help(): void {
    this.#show(this.#overlay instanceof Panel ? null : this.#overlays.help());
  }

  #fold(): void {
    const fold = this.#transcript.focus ?? this.#transcript.moveFocus(-1);
    if (fold) this.#desk.toggle(fold.id, isThought(fold.id) ? this.#thoughts : fold.byDefault);
  }

  #stopTool(): void {
    const { active } = this.#desk.desk.view;
    const call = active?.items.findLast((item) => item.kind === 'tool' && item.state === 'running');
    if (!active || call?.kind !== 'tool') return this.#say('no tool call runs');
    void this.#desk.cancel({ turnId: active.turnId, callId: call.callId });
  }
}
