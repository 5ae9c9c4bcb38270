import { toOptaError } from '../protocol/errors.ts';
import type { QueuedTurn } from '../protocol/session-state.ts';
import type { SessionDesk } from '../views/session-desk.ts';
import type { Composer } from './composer.ts';
import type { Host } from './host.ts';
import type { Overlay } from './overlay.ts';
import { Panel } from './panel.ts';

/** What lines need of the screen. */
export interface LineScreen {
  desk(): SessionDesk;
  say(text: string): void;
  show(overlay: Overlay | null): void;
  follow(sessionId: string): void;
  leave(): void;
  draw(): void;
}

const NOTE_CHARS_MAX = 120;

/** What becomes of what a person has written: a turn, a command, or another text of a turn that waits. */
export class Lines {
  readonly #host: Host;
  readonly #composer: Composer;
  readonly #screen: LineScreen;
  #work: AbortController | null = null;
  /** The waiting turn whose text is being changed. */
  #editing: string | null = null;

  constructor(host: Host, composer: Composer, screen: LineScreen) {
    this.#host = host;
    this.#composer = composer;
    this.#screen = screen;
  }

  /** The command that runs, as something to know it by. */
  get running(): object | null {
    return this.#work;
  }

  /** Ends a command that runs; false when none does. */
  abort(): boolean {
    this.#work?.abort();
    return this.#work !== null;
  }

  /** Puts a text before the person. */
  write(text: string): void {
    this.#composer.clear();
    this.#composer.insert(text);
  }

  editQueued({ turnId, content }: QueuedTurn): void {
    this.#editing = turnId;
    this.write(content);
    this.#screen.say('a waiting turn: Enter changes it, Esc gives up');
  }

  giveUp(): boolean {
    if (this.#editing === null) return false;
    this.#editing = null;
    this.#composer.clear();
    this.#screen.say('left as it was');
    return true;
  }

  async send(): Promise<void> {
    const line = this.#composer.text;
    if (line.trim() === '') return;
    if (this.#work) return this.#screen.say('a command runs; Ctrl+C ends it');
    this.#composer.take();
    if (this.#editing !== null) return this.#change(this.#editing, line);
    if (/^[/!]/.test(line) && (await this.#command(line))) return;
    await this.#submit(line);
  }

  async #submit(text: string): Promise<void> {
    const { link } = this.#screen.desk();
    const { state } = link.view;
    const nameless = state.title === undefined && state.messages.length === 0;
    const { turn, notes } = this.#host.turn(text);
    if (notes.length > 0) this.#screen.say(notes.join(' · '));
    await this.#keeping(text, async () => {
      if (link.state === 'waiting') {
        await this.#host.revive();
        link.wake();
      }
      await link.submit(turn);
      if (nameless) await this.#host.name(text);
    });
  }

  async #change(turnId: string, content: string): Promise<void> {
    this.#editing = null;
    await this.#keeping(content, async () => {
      const params = { id: this.#screen.desk().link.sessionId, turnId };
      await this.#host.client.call('queue.edit', { params, body: { writerId: this.#host.writerId, content } });
      this.#screen.say('changed');
    });
  }

  /** What was not taken is not lost. */
  async #keeping(text: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      this.#screen.say(toOptaError(cause).message);
      if (this.#composer.empty) this.#composer.insert(text);
      this.#screen.draw();
    }
  }

  /** False: it is a message after all. */
  async #command(line: string): Promise<boolean> {
    let known = true;
    let said = '';
    const control = new AbortController();
    this.#work = control;
    this.#screen.say(`${line.split(/\s/, 1)[0]} …`);
    try {
      known = await this.#host.command(line, {
        signal: control.signal,
        say: (text) => {
          said += text;
        },
        leave: () => this.#screen.leave(),
        open: async (sessionId) => this.#screen.follow(sessionId),
        submit: (text) => this.#submit(text),
      });
    } catch (cause) {
      said += toOptaError(cause).message;
    } finally {
      this.#work = null;
    }
    const text = said.trimEnd();
    if (text.includes('\n') || text.length > NOTE_CHARS_MAX) this.#screen.show(new Panel(line, text.split('\n')));
    else if (known) this.#screen.say(text === '' ? 'done' : text);
    this.#screen.draw();
    return known;
  }
}
