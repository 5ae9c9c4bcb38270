import type { SessionLink } from '../client/session-link.ts';
import { toOptaError } from '../protocol/errors.ts';
import { CardDesk } from './card-desk.ts';
import { Composer } from './composer.ts';
import { frameOf } from './frame.ts';
import { HELP } from './help.ts';
import type { Host } from './host.ts';
import type { Key } from './keys.ts';
import { Panel } from './panel.ts';
import type { Row } from './text.ts';
import { Transcript } from './transcript.ts';

/** Where frames go. The tests' one is no terminal. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  paint(rows: readonly Row[], cursor: { x: number; y: number } | null): void;
  reset(): void;
}

/** At most so many frames a second while text streams; a key is drawn at once. */
const FRAME_MS = 25;
const TICK_MS = 1_000;
const NOTE_MS = 6_000;
const NOTE_CHARS_MAX = 120;
const HISTORY_SEED_MAX = 50;

/** The full screen over one session: what the view says and what keys do. Draws on a canvas, knows no terminal. */
export class App {
  /** Resolves when the person leaves; rejects when the link is over for good. */
  readonly left: Promise<void>;
  readonly #host: Host;
  readonly #canvas: Canvas;
  readonly #transcript = new Transcript();
  readonly #composer = new Composer();
  #link: SessionLink;
  #undo: (() => void)[] = [];
  #panel: Panel | null = null;
  readonly #cards = new CardDesk((text) => this.#say(text));
  #note = '';
  #noteTimer: NodeJS.Timeout | undefined;
  #frameTimer: NodeJS.Timeout | undefined;
  readonly #tick: NodeJS.Timeout;
  #work: AbortController | null = null;
  #leave: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(host: Host, canvas: Canvas, sessionId: string) {
    this.#host = host;
    this.#canvas = canvas;
    this.left = new Promise((resolve, reject) => {
      this.#leave = resolve;
      this.#fail = reject;
    });
    this.#link = this.#follow(sessionId);
    this.#tick = setInterval(() => {
      if (this.#link.view.current.active || this.#cards.card) this.draw();
    }, TICK_MS);
  }

  close(): void {
    clearInterval(this.#tick);
    clearTimeout(this.#frameTimer);
    clearTimeout(this.#noteTimer);
    this.#work?.abort();
    for (const undo of this.#undo) undo();
    this.#link.close();
  }

  /** Now. */
  draw(): void {
    clearTimeout(this.#frameTimer);
    this.#frameTimer = undefined;
    const { width, height } = this.#canvas;
    const view = this.#link.view.current;
    const scene = {
      view,
      mode: this.#host.mode(),
      composer: this.#composer,
      panel: this.#panel,
      card: this.#cards.card,
      cardTop: this.#cards.top,
      note: this.#note,
      now: Date.now(),
    };
    const frame = frameOf(scene, this.#transcript, width, height);
    this.#cards.top = frame.cardTop;
    this.#canvas.paint(frame.rows, frame.cursor);
  }

  paste(text: string): void {
    if (this.#panel || this.#cards.card) return;
    this.#composer.insert(text);
    this.draw();
  }

  key(key: Key): void {
    this.#act(key);
    this.draw();
  }

  /** Ctrl+C: ends what this person started; when there is nothing, leaves. */
  interrupt(): void {
    if (this.#work) {
      this.#work.abort();
      return;
    }
    if (!this.#cancelOwn()) this.#leave();
  }

  // --- the session -----------------------------------------------------------------------------------------------------

  #follow(sessionId: string): SessionLink {
    for (const undo of this.#undo) undo();
    const link = this.#host.open(sessionId);
    this.#transcript.clear();
    this.#cards.clear();
    let seeded = false;
    this.#undo = [
      link.view.subscribe((view, record) => {
        if (!seeded && view.connection === 'open' && view.state.messages.length > 0) {
          seeded = true;
          const said = view.state.messages.filter((m) => m.role === 'user').map((m) => m.content);
          this.#composer.remember(said.slice(-HISTORY_SEED_MAX));
        }
        if (record) this.#cards.heard(record);
        this.#cards.look(view);
        this.#schedule();
      }),
      link.on('reconnect', () => this.#say('connected again')),
    ];
    void link.ended.then((error) => {
      if (error && this.#link === link) this.#fail(error);
    });
    return link;
  }

  #schedule(): void {
    this.#frameTimer ??= setTimeout(() => this.draw(), FRAME_MS);
  }

  // --- what is said ----------------------------------------------------------------------------------------------------

  #say(text: string): void {
    this.#note = text;
    clearTimeout(this.#noteTimer);
    this.#noteTimer = setTimeout(() => {
      this.#note = '';
      this.draw();
    }, NOTE_MS);
    this.#schedule();
  }

  #sayError(cause: unknown): void {
    this.#say(toOptaError(cause).message);
  }

  /** Runs something that takes a while; Ctrl+C ends it. */
  async #doing(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const control = new AbortController();
    this.#work = control;
    try {
      await work(control.signal);
    } catch (cause) {
      this.#sayError(cause);
    } finally {
      if (this.#work === control) this.#work = null;
      this.draw();
    }
  }

  // --- commands --------------------------------------------------------------------------------------------------------

  async #send(): Promise<void> {
    const line = this.#composer.text;
    if (line.trim() === '') return;
    if (this.#work) {
      this.#say('a command runs; Ctrl+C ends it');
      return;
    }
    this.#composer.take();
    this.#transcript.toEnd();
    if (/^[/!]/.test(line) && (await this.#command(line))) return;
    await this.#submit(line);
  }

  async #submit(text: string): Promise<void> {
    const { view } = this.#link;
    const nameless = view.state.title === undefined && view.state.messages.length === 0;
    const { turn, notes } = this.#host.turn(text);
    if (notes.length > 0) this.#say(notes.join(' · '));
    try {
      if (this.#link.state === 'waiting') await this.#host.revive();
      await this.#link.submit(turn);
      if (nameless) await this.#host.name(text);
    } catch (cause) {
      this.#sayError(cause);
      // What was not taken is not lost.
      if (this.#composer.empty) this.#composer.insert(text);
      this.draw();
    }
  }

  /** False: it is a message after all. */
  async #command(line: string): Promise<boolean> {
    let known = true;
    let said = '';
    await this.#doing(async (signal) => {
      this.#say(`${line.split(/\s/, 1)[0]} …`);
      known = await this.#host.command(line, {
        signal,
        say: (text) => {
          said += text;
        },
        leave: () => this.#leave(),
        open: async (sessionId) => {
          this.#link = this.#follow(sessionId);
        },
        submit: (text) => this.#submit(text),
      });
      this.#note = '';
    });
    const text = said.trimEnd();
    if (text.includes('\n') || text.length > NOTE_CHARS_MAX) this.#panel = new Panel(line, text.split('\n'));
    else if (text !== '') this.#say(text);
    this.draw();
    return known;
  }

  /** One's own running turn, else the last one that waits. */
  #cancelOwn(): boolean {
    const { active, state } = this.#link.view.current;
    const mine = (turn: { writerId: string } | null | undefined): boolean => turn?.writerId === this.#host.writerId;
    const target = active && mine(active) ? active : state.queue.findLast(mine);
    if (!target) return false;
    this.#say('cancelling');
    this.#link.cancel({ turnId: target.turnId }).then(
      () => this.#say('cancelled'),
      (cause) => this.#sayError(cause),
    );
    return true;
  }

  async #sessions(): Promise<void> {
    await this.#doing(async () => {
      const all = await this.#host.sessions();
      const lines = all.map(({ title, detail }) => `${detail}  ${title}`);
      const here = this.#link.sessionId;
      this.#panel = new Panel('sessions', lines, (place) => {
        const chosen = all[place];
        this.#panel = null;
        if (chosen === undefined || chosen.id === here) return;
        this.#link = this.#follow(chosen.id);
      });
    });
  }

  // --- keys ------------------------------------------------------------------------------------------------------------

  #act(key: Key): void {
    if (key.ctrl) return this.#control(key.name);
    if (key.name === 'f1') return this.#toggleHelp();
    if (key.name === 'escape') return this.#escape();
    if (this.#panel) {
      if (!this.#panel.key(key.name) && (key.name === 'return' || key.text === 'q')) this.#panel = null;
      return;
    }
    if (this.#scrolled(key)) return;
    if (this.#cards.key(key, this.#link)) return;
    this.#edit(key);
  }

  #control(name: string): void {
    switch (name) {
      case 'c':
        return this.interrupt();
      case 'l':
        return this.#canvas.reset();
      case 'o':
        return void this.#sessions();
      case '/':
        return this.#toggleHelp();
      case 'd':
        if (this.#composer.empty) this.#leave();
        else this.#composer.delete();
        return;
      default:
        if (!this.#panel && !this.#cards.card) this.#edits[name]?.();
    }
  }

  readonly #edits: { readonly [name: string]: () => void } = {
    a: () => this.#composer.home(),
    e: () => this.#composer.end(),
    u: () => this.#composer.cut(),
    w: () => this.#composer.cutWord(),
  };

  #escape(): void {
    if (this.#panel) this.#panel = null;
    else if (this.#cards.putOff(this.#link.view.current)) return;
    else if (this.#work) this.#work.abort();
    else this.#cancelOwn();
  }

  #scrolled({ name, shift }: Key): boolean {
    const page = this.#transcript.page;
    const by =
      name === 'pageup'
        ? -page
        : name === 'pagedown'
          ? page
          : shift && name === 'up'
            ? -3
            : shift && name === 'down'
              ? 3
              : 0;
    if (by === 0) return false;
    this.#transcript.scroll(by);
    return true;
  }

  #edit(key: Key): void {
    const composer = this.#composer;
    switch (key.name) {
      case 'return':
      case 'enter':
        if (key.meta) composer.insert('\n');
        else void this.#send();
        return;
      case 'backspace':
        return key.meta ? composer.cutWord() : composer.backspace();
      case 'delete':
        return composer.delete();
      case 'left':
        return composer.left();
      case 'right':
        return composer.right();
      case 'home':
        return composer.home();
      case 'end':
        return composer.end();
      case 'up':
        return composer.up();
      case 'down':
        return composer.down();
      case 'tab':
        return this.#cards.bringBack(this.#link.view.current);
      default:
        if (key.text !== '') composer.insert(key.text);
    }
  }

  #toggleHelp(): void {
    this.#panel = this.#panel ? null : new Panel('help', HELP);
  }
}
