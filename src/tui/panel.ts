import { clean, cropped, type Row, wrap } from './text.ts';

/** Text or a list over the conversation, until it is closed. */
export class Panel {
  readonly title: string;
  readonly #lines: readonly string[];
  readonly #choose: ((place: number) => void) | null;
  #top = 0;
  #place = 0;
  #room = 1;
  #rows = 1;

  /** With `choose`, one line is marked, and Enter takes it. */
  constructor(title: string, lines: readonly string[], choose: ((place: number) => void) | null = null) {
    this.title = title;
    this.#lines = lines;
    this.#choose = choose;
  }

  /** True when the key was for it. */
  key(name: string): boolean {
    const pages: { [key: string]: number } = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -this.#room,
      pagedown: this.#room,
    };
    const step = pages[name];
    if (name === 'home') this.#move(-1e9);
    else if (name === 'end') this.#move(1e9);
    else if (step !== undefined) this.#move(step);
    else if (name === 'return' && this.#choose && this.#lines.length > 0) this.#choose(this.#place);
    else return false;
    return true;
  }

  rows(width: number, height: number): Row[] {
    const head: Row = [[cropped(`── ${this.title} ${'─'.repeat(width)}`, width).replace(/…$/, '─'), 'accent']];
    const keys = this.#choose ? ' Enter opens · Esc closes' : ' Up, Down scroll · Esc closes';
    this.#room = Math.max(1, height - 2);
    const body = this.#choose
      ? this.#lines.map((line, i): Row => [[cropped(` ${clean(line)}`, width), i === this.#place ? 'chosen' : 'plain']])
      : this.#lines.flatMap((line) =>
          wrap(clean(line), Math.max(1, width - 1)).map((text): Row => [[` ${text}`, 'plain']]),
        );
    this.#rows = body.length;
    if (this.#choose) this.#top = Math.min(Math.max(this.#top, this.#place - this.#room + 1), this.#place);
    this.#top = Math.max(0, Math.min(this.#top, body.length - this.#room));
    const shown = body.slice(this.#top, this.#top + this.#room);
    while (shown.length < this.#room) shown.push([]);
    return [head, ...shown, [[cropped(keys, width), 'dim'] as const]].slice(0, Math.max(1, height)) as Row[];
  }

  #move(by: number): void {
    if (this.#choose) this.#place = Math.max(0, Math.min(this.#lines.length - 1, this.#place + by));
    else this.#top = Math.max(0, Math.min(this.#rows - this.#room, this.#top + by));
  }
}
