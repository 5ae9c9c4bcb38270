import type { Key } from './keys.ts';
import { type Overlay, ruleTitle } from './overlay.ts';
import { clean, cropped, type Row, wrap } from './text.ts';

/** Text over the conversation: help, or what a command has said. */
export class Panel implements Overlay {
  readonly #title: string;
  readonly #lines: readonly string[];
  #top = 0;
  #room = 1;
  #rows = 1;

  constructor(title: string, lines: readonly string[]) {
    this.#title = title;
    this.#lines = lines;
  }

  key({ name }: Key): boolean {
    const step = { up: -1, k: -1, down: 1, j: 1, pageup: -this.#room, pagedown: this.#room, home: -1e9, end: 1e9 }[
      name
    ];
    if (step === undefined) return false;
    this.#top = Math.max(0, Math.min(this.#rows - this.#room, this.#top + step));
    return true;
  }

  rows(width: number, height: number): Row[] {
    const head: Row = [[ruleTitle(cropped(clean(this.#title), Math.max(1, width - 6)), width), 'accent']];
    this.#room = Math.max(1, height - 2);
    const body = this.#lines.flatMap((line) =>
      wrap(clean(line), Math.max(1, width - 1)).map((text): Row => [[cropped(` ${text}`, width), 'plain']]),
    );
    this.#rows = body.length;
    this.#top = Math.max(0, Math.min(this.#top, body.length - this.#room));
    const shown = body.slice(this.#top, this.#top + this.#room);
    while (shown.length < this.#room) shown.push([]);
    const foot: Row = [[cropped(' Up, Down scroll · Esc closes', width), 'dim']];
    return [head, ...shown, foot].slice(0, Math.max(1, height));
  }
}
