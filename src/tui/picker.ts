import { oneLine, printable } from '../client/printable.ts';
import { toOptaError } from '../protocol/errors.ts';
import { fuzzyRanked } from '../views/fuzzy.ts';
import type { Key } from './keys.ts';
import type { Overlay } from './overlay.ts';
import { clean, cropped, fitted, type Row, textWidth } from './text.ts';

export interface PickerItem {
  id: string;
  label: string;
  /** At the right, dimmed. */
  detail: string;
  /** Looked through too, and not shown. */
  words?: string;
  tone?: 'plain' | 'good' | 'warn';
}

export interface PickerOptions {
  title: string;
  /** The keys that it takes, for its last line. */
  hint: string;
  /** `typed`: letters look for a name at once. `slash`: letters are keys, and `/` begins to look. */
  search: 'typed' | 'slash';
  load(): Promise<readonly PickerItem[]>;
  choose(item: PickerItem): void;
  /** Besides arrows and Enter, by the sign they write. */
  keys?: { readonly [sign: string]: (item: PickerItem | undefined) => void };
  /** Loaded again so often while it is open: what it lists changes by others too. */
  everyMs?: number;
  /** Loaded again at the next frame once this is another value: what it lists is known here. */
  of?(): unknown;
  /** Something is to be drawn. */
  changed(): void;
}

const SEARCH_CHARS_MAX = 100;
const SHOWN_MAX = 1_000;

/** A list to choose from, with a search, that may be loaded anew while it is open. */
export class Picker implements Overlay {
  readonly #options: PickerOptions;
  #items: readonly PickerItem[] = [];
  #found: readonly PickerItem[] = [];
  #said = 'loading …';
  #search = '';
  #searching: boolean;
  #place = 0;
  #top = 0;
  #room = 1;
  /** A question that the next letter answers. */
  #asked: { text: string; yes: () => void } | null = null;
  /** How many loads have begun, how many of them go on, and which one is shown. */
  #loads = 0;
  #loading = 0;
  #loaded = 0;
  #listed: unknown;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: PickerOptions) {
    this.#options = options;
    this.#searching = options.search === 'typed';
    if (options.everyMs !== undefined) this.#timer = setInterval(() => void this.#refresh(), options.everyMs);
    void this.reload();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  get writes(): boolean {
    return this.#searching;
  }

  async reload(): Promise<void> {
    this.#loads += 1;
    this.#loading += 1;
    const load = this.#loads;
    this.#listed = this.#options.of?.();
    let items: readonly PickerItem[] = [];
    let said = '';
    try {
      items = await this.#options.load();
      if (items.length === 0) said = 'nothing here';
    } catch (cause) {
      said = toOptaError(cause).message;
    }
    this.#loading -= 1;
    // A newer one was faster.
    if (load < this.#loaded) return;
    this.#loaded = load;
    // What was chosen stays so wherever it stands now: a key that was meant for it must not meet another.
    const chosen = this.#found[this.#place]?.id;
    this.#items = items;
    this.#said = said;
    this.#look();
    const place = chosen === undefined ? -1 : this.#found.findIndex(({ id }) => id === chosen);
    if (place >= 0) this.#place = place;
    this.#options.changed();
  }

  /** Never a second time while the first goes on: a daemon that is slow is not asked more. */
  async #refresh(): Promise<void> {
    if (this.#loading === 0) await this.reload();
  }

  /** Only `y` does it. */
  ask(text: string, yes: () => void): void {
    this.#asked = { text, yes };
  }

  key(key: Key): boolean {
    if (this.#asked) {
      const { yes } = this.#asked;
      this.#asked = null;
      if (key.text.toLowerCase() === 'y') yes();
      return true;
    }
    const { name, text } = key;
    if (name === 'return') {
      const item = this.#found[this.#place];
      if (item) this.#options.choose(item);
      return true;
    }
    const step = STEPS[name] ?? (this.#searching ? undefined : LETTERS[text]);
    if (step !== undefined) return this.#move(Math.abs(step) === 2 ? (step / 2) * this.#room : step);
    if (name === 'home' || name === 'end') return this.#move(name === 'home' ? -1e9 : 1e9);
    if (this.#searching) return this.#type(key);
    if (text === '/') {
      this.#searching = true;
      return true;
    }
    const own = this.#options.keys?.[text];
    if (!own) return false;
    own(this.#found[this.#place]);
    return true;
  }

  /** Looks for it as well; without a search it is nobody's. */
  paste(text: string): void {
    if (this.#searching && !this.#asked) this.#find(printable(text).replace(/\n+/g, ''));
  }

  back(): boolean {
    if (this.#asked) this.#asked = null;
    else if (this.#search !== '') this.#seek('');
    else if (this.#searching && this.#options.search === 'slash') this.#searching = false;
    else return false;
    return true;
  }

  rows(width: number, height: number): Row[] {
    const { title, hint, of } = this.#options;
    if (of && of() !== this.#listed) void this.reload();
    const found = this.#search === '' ? '' : ` ${this.#found.length} of ${this.#items.length}`;
    const head: Row = [[cropped(`── ${title}${found} ${'─'.repeat(width)}`, width).replace(/…$/, '─'), 'accent']];
    const search: Row[] = this.#searching
      ? [
          [
            [' / ', 'accent'],
            [cropped(`${this.#search}▏`, width - 3), 'plain'],
          ],
        ]
      : [];
    const foot: Row = [[cropped(clean(` ${this.#asked?.text ?? hint}`), width), this.#asked ? 'warn' : 'dim']];
    const room = Math.max(1, height - 2 - search.length);
    this.#room = room;
    this.#top = Math.max(0, Math.min(Math.max(this.#top, this.#place - room + 1), this.#place));
    const shown = this.#found
      .slice(this.#top, this.#top + room)
      .map((item, i) => this.#row(item, this.#top + i, width));
    const said = this.#found.length > 0 ? '' : this.#said || 'nothing goes with that';
    const body: Row[] = said === '' ? shown : [[[cropped(`  ${clean(oneLine(said, 200))}`, width), 'dim']]];
    while (body.length < room) body.push([]);
    return [head, ...search, ...body, foot].slice(0, Math.max(1, height));
  }

  #row({ label, detail, tone = 'plain' }: PickerItem, place: number, width: number): Row {
    const right = cropped(clean(oneLine(detail, 120)), Math.max(0, Math.floor(width / 2)));
    const left = cropped(clean(oneLine(label, 300)), Math.max(1, width - textWidth(right) - 3));
    const gap = ' '.repeat(Math.max(1, width - 2 - textWidth(left) - textWidth(right)));
    if (place === this.#place) return fitted([[` ${left}${gap}${right} `, 'chosen']], width);
    return fitted(
      [
        [` ${left}`, tone],
        [`${gap}${right}`, 'dim'],
      ],
      width,
    );
  }

  #type({ name, text, meta }: Key): boolean {
    if (name === 'backspace') this.#seek(meta ? '' : Array.from(this.#search).slice(0, -1).join(''));
    else if (text !== '') this.#find(text);
    else return false;
    return true;
  }

  #find(more: string): void {
    this.#seek((this.#search + more).slice(0, SEARCH_CHARS_MAX));
  }

  #seek(search: string): void {
    this.#search = search;
    this.#place = 0;
    this.#look();
  }

  #look(): void {
    const names = ({ label, detail, words = '' }: PickerItem): string[] => [label, detail, words];
    this.#found = this.#search === '' ? this.#items : fuzzyRanked(this.#search, this.#items, names, SHOWN_MAX);
    this.#place = Math.max(0, Math.min(this.#place, this.#found.length - 1));
  }

  #move(by: number): true {
    this.#place = Math.max(0, Math.min(this.#found.length - 1, this.#place + Math.trunc(by)));
    return true;
  }
}

/** 2 is a page. */
const STEPS: { readonly [name: string]: number } = { up: -1, down: 1, pageup: -2, pagedown: 2 };
const LETTERS: { readonly [text: string]: number } = { k: -1, j: 1 };
