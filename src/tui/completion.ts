import { oneLine, printable } from '../client/printable.ts';
import { fuzzyRanked } from '../views/fuzzy.ts';
import type { Composer } from './composer.ts';
import { clean, cropped, fitted, type Row, textWidth } from './text.ts';

/** A slash command by its name, without the slash. */
export interface CommandName {
  name: string;
  about: string;
  aliases?: readonly string[];
}

export interface Sources {
  commands(): readonly CommandName[];
  /** Paths as they would be written behind the `@`; a folder ends with a slash. `typed` may say where to look. */
  files(typed: string): Promise<readonly string[]>;
}

/** What is begun at the cursor: so many characters of it stand before the cursor, the sign in front included. */
export interface Begun {
  kind: 'command' | 'file';
  typed: string;
  chars: number;
}

interface Choice {
  /** What takes the place of what is begun. */
  text: string;
  label: string;
  about: string;
}

type State = { open: false } | { open: true; begun: Begun; choices: readonly Choice[]; chosen: number };

const CHOICES_MAX = 50;
const TYPED_CHARS_MAX = 1_024;

/** A command is the first word of all; a file's name stands behind an `@`, in quotes when it has blanks. */
export const begunAt = ({ text, first }: { text: string; first: boolean }): Begun | null => {
  if (first && /^\/[^\s/]*$/.test(text)) return { kind: 'command', typed: text.slice(1), chars: text.length };
  const found = /(?<=^|\s)@(?:"([^"\n]*)|([^\s"]*))$/.exec(text.slice(-TYPED_CHARS_MAX));
  return found && { kind: 'file', typed: found[1] ?? found[2] ?? '', chars: found[0].length };
};

/** As a reference is read: what has blanks, or begins as none may, is put in quotes. null: it cannot be written at all. */
export const referenceTo = (path: string): string | null => {
  if (path === '' || printable(path) !== path || path.includes('\n')) return null;
  if (/^(?:~\/|[a-z_./])\S*$/.test(path)) return `@${path}`;
  return path.includes('"') ? null : `@"${path}"`;
};

/** What can be completed at the cursor: closed, or open with one of the choices chosen. */
export class Completion {
  readonly #sources: Sources;
  readonly #changed: () => void;
  #state: State = { open: false };
  /** What was looked up last, or is being. */
  #asked = '';
  #files: readonly string[] = [];
  /** What was closed by hand stays closed until something else is begun. */
  #closed: Begun['kind'] | null = null;

  /** `changed` is called when an answer has come that is to be drawn. */
  constructor(sources: Sources, changed: () => void) {
    this.#sources = sources;
    this.#changed = changed;
  }

  get open(): boolean {
    return this.#state.open;
  }

  /** After each change of the text or of the cursor. */
  look(composer: Composer): void {
    const begun = begunAt(composer.head);
    if (begun === null || begun.kind !== this.#closed) this.#closed = null;
    if (begun === null || this.#closed !== null) {
      this.#state = { open: false };
      this.#asked = '';
    } else if (begun.kind === 'command') this.#show(begun, this.#commands(begun.typed));
    else this.#lookUp(begun);
  }

  /** The next one (1) or the one before (-1), round and round. */
  move(step: 1 | -1): void {
    const state = this.#state;
    if (!state.open) return;
    const { length } = state.choices;
    this.#state = { ...state, chosen: (state.chosen + step + length) % length };
  }

  /** Writes what is chosen; false when nothing is. Into a folder it goes on. */
  accept(composer: Composer): boolean {
    const state = this.#state;
    if (!state.open) return false;
    const choice = state.choices[state.chosen];
    if (choice === undefined) return false;
    const folder = state.begun.kind === 'file' && /\/"?$/.test(choice.text);
    composer.replace(state.begun.chars, folder ? choice.text.replace(/"$/, '') : `${choice.text} `);
    this.#state = { open: false };
    this.look(composer);
    return true;
  }

  /** Whether Enter would write nothing that does not stand there already. */
  get idle(): boolean {
    const state = this.#state;
    if (!state.open || state.begun.kind !== 'command') return false;
    return state.choices[state.chosen]?.text === `/${state.begun.typed}`;
  }

  close(): void {
    if (this.#state.open) this.#closed = this.#state.begun.kind;
    this.#state = { open: false };
  }

  /** At most `max` rows, the chosen one among them. */
  rows(width: number, max: number): Row[] {
    const state = this.#state;
    if (!state.open || max < 1) return [];
    const from = Math.max(0, Math.min(state.chosen - Math.floor(max / 2), state.choices.length - max));
    const shown = state.choices.slice(from, from + max);
    const column = Math.min(Math.floor(width / 2), Math.max(...shown.map(({ label }) => textWidth(label))));
    return shown.map(({ label, about }, i): Row => {
      const name = cropped(label, column);
      const text = ` ${name}${' '.repeat(Math.max(0, column - textWidth(name)))} `;
      const rest = cropped(about, Math.max(0, width - textWidth(text) - 1));
      if (from + i === state.chosen) return fitted([[`${text} ${rest}`, 'chosen']], width);
      return fitted(
        [
          [text, 'accent'],
          [` ${rest}`, 'dim'],
        ],
        width,
      );
    });
  }

  #commands(typed: string): Choice[] {
    const found = fuzzyRanked(
      typed,
      this.#sources.commands(),
      ({ name, aliases = [] }) => [name, ...aliases],
      CHOICES_MAX,
    );
    // Its own name says more than another's alias, unless that is written out.
    const isMeant = ({ name, aliases = [] }: CommandName): boolean =>
      name.startsWith(typed.toLowerCase()) || aliases.includes(typed.toLowerCase());
    const ranked = [...found.filter(isMeant), ...found.filter((command) => !isMeant(command))];
    return ranked.map(({ name, about }) => ({ text: `/${name}`, label: `/${name}`, about: clean(oneLine(about)) }));
  }

  #lookUp(begun: Begun): void {
    // What was found stays until the answer for what is typed now is there.
    this.#show(begun, this.#paths(begun.typed));
    const asked = `@${begun.typed}`;
    if (asked === this.#asked) return;
    this.#asked = asked;
    const take = (files: readonly string[]): void => {
      if (this.#asked !== asked) return;
      this.#files = files;
      this.#show(begun, this.#paths(begun.typed));
      this.#changed();
    };
    // Without files to choose from there is nothing to choose.
    this.#sources.files(begun.typed).then(take, () => take([]));
  }

  #paths(typed: string): Choice[] {
    const paths = this.#files.filter((path) => referenceTo(path) !== null);
    return fuzzyRanked(typed, paths, (path) => [path], CHOICES_MAX).map((path) => ({
      text: referenceTo(path) as string,
      label: clean(oneLine(path)),
      about: '',
    }));
  }

  #show(begun: Begun, choices: readonly Choice[]): void {
    const before = this.#state.open ? this.#state.choices[this.#state.chosen]?.text : undefined;
    const same = this.#state.open && this.#state.begun.typed === begun.typed;
    const chosen = same
      ? Math.max(
          0,
          choices.findIndex(({ text }) => text === before),
        )
      : 0;
    this.#state = choices.length === 0 ? { open: false } : { open: true, begun, choices, chosen };
  }
}
