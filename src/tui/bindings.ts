import { oneLine } from '../client/printable.ts';
import type { Key } from './keys.ts';

/**
 * Every key of the full screen that does something besides writing: what it is called, which key it is at first, and what it
 * does. A person may give an action another key (docs/OPERATIONS.md, keys); one key never does two things.
 */
export const ACTIONS = {
  submit: ['enter', 'send what is written'],
  newline: ['alt+enter', 'a new line; Ctrl+J and a backslash before Enter do the same'],
  accept: ['tab', 'take what is chosen; bring back a card that was put off'],
  cancel: ['ctrl+c', 'end what runs for you: a command, else your turn; a second time, or with none, leave'],
  back: ['escape', 'close what is open; put a card off; else cancel your turn'],
  leave: ['ctrl+d', 'leave, when nothing is written'],
  palette: ['ctrl+k', 'every action and command, to be found by a few letters'],
  help: ['f1', 'these keys'],
  'help-too': ['ctrl+/', 'these keys'],
  sessions: ['ctrl+o', 'other sessions'],
  model: ['ctrl+g', 'which model answers'],
  mode: ['shift+tab', 'how the next turns may act: normal, plan, research, review'],
  states: ['ctrl+s', 'the statecharts of this session, and why it waits'],
  queue: ['alt+q', 'the turns that wait: take back or change your own'],
  people: ['alt+p', 'who is attached to this session'],
  sidebar: ['ctrl+b', 'the column at the side'],
  thinking: ['ctrl+t', 'open or fold what the model thinks'],
  follow: ['ctrl+f', 'to the end, and stay there'],
  redraw: ['ctrl+l', 'draw the screen anew'],
  'page-up': ['pageup', 'a page back in the conversation'],
  'page-down': ['pagedown', 'a page on'],
  'lines-up': ['shift+up', 'three lines back'],
  'lines-down': ['shift+down', 'three lines on'],
  start: ['ctrl+home', 'the beginning of the conversation'],
  'card-before': ['alt+up', 'to the tool card above'],
  'card-next': ['alt+down', 'to the tool card below'],
  fold: ['ctrl+x', 'open or fold that card, or the last one'],
  'stop-tool': ['alt+c', 'cancel the tool call that runs, and no more of the turn'],
  reconnect: ['ctrl+r', 'look for the daemon now, when the connection is lost'],
  suspend: ['ctrl+z', 'to the shell; fg brings it back'],
} as const satisfies { readonly [action: string]: readonly [key: string, text: string] };

export type Action = keyof typeof ACTIONS;

export interface Binding {
  action: Action;
  /** `ctrl+k`, `shift+tab`, `f1`. */
  key: string;
  text: string;
}

/** What a file of keys says: an action and its key. */
export interface Override {
  key: string;
  description?: string | undefined;
}

export class Bindings {
  readonly all: readonly Binding[];
  /** What a person should know of their file: what is not known, and what is given twice. */
  readonly notes: readonly string[];
  readonly #byKey: ReadonlyMap<string, Action>;

  constructor(overrides: { readonly [action: string]: Override } = {}) {
    const notes: string[] = [];
    const taken = new Map<string, Action>();
    const chosen = new Map<Action, { key: string; text: string }>();
    for (const [action, { key, description }] of Object.entries(overrides)) {
      const chord = chordFrom(key);
      if (!isAction(action)) notes.push(`keys: there is no action ${oneLine(action, 40)}`);
      else if (chord === null) notes.push(`keys: ${oneLine(key, 40)} is no key that can be given`);
      else if (taken.has(chord))
        notes.push(`keys: ${chord} is given to ${taken.get(chord)} and ${action}; the first has it`);
      else {
        taken.set(chord, action);
        chosen.set(action, {
          key: chord,
          text: description === undefined ? ACTIONS[action][1] : oneLine(description, 120),
        });
      }
    }
    const all: Binding[] = [];
    for (const [action, [key, text]] of Object.entries(ACTIONS) as [Action, readonly [string, string]][]) {
      const own = chosen.get(action);
      if (own) all.push({ action, ...own });
      else if (!taken.has(key)) all.push({ action, key, text });
      else notes.push(`keys: ${action} has no key now; ${key} is that of ${taken.get(key)}`);
    }
    this.all = all;
    this.notes = notes;
    this.#byKey = new Map(all.map(({ key, action }) => [key, action]));
  }

  of(key: Key): Action | undefined {
    return this.#byKey.get(chordOf(key));
  }

  /** The key of an action as people write it; '' when it has none. */
  label(action: Action): string {
    return labelOf(this.all.find((binding) => binding.action === action)?.key ?? '');
  }
}

const isAction = (name: string): name is Action => Object.hasOwn(ACTIONS, name);

/** Keys that write, or that editing needs, are nobody's. */
const EDITING = /^(?:.|space|backspace|delete|up|down|left|right|home|end|ctrl\+[aeujwy]|alt\+[bdf])$/;

/** `Ctrl+Shift+X` → `ctrl+shift+x`; null for what is no key, or one that writes. */
const chordFrom = (text: string): string | null => {
  const parts = text
    .trim()
    .toLowerCase()
    .split('+')
    .map((part) => part.trim());
  const name = NAMES[parts.at(-1) as string] ?? (parts.at(-1) as string);
  const mods = parts
    .slice(0, -1)
    .map((mod) => (mod === 'meta' || mod === 'option' ? 'alt' : mod === 'control' ? 'ctrl' : mod));
  if (!/^(?:f\d{1,2}|[a-z]{3,9}|[!-~])$/.test(name) || ORDER.includes(name) || mods.some((mod) => !ORDER.includes(mod)))
    return null;
  const chord = [...ORDER.filter((mod) => mods.includes(mod)), name].join('+');
  return EDITING.test(chord) ? null : chord;
};

const ORDER = ['ctrl', 'alt', 'shift'];
const NAMES: { readonly [name: string]: string } = { return: 'enter', esc: 'escape', pgup: 'pageup', pgdn: 'pagedown' };

/** The same for a key that was pressed. A letter's shift is in the letter. */
const chordOf = ({ name, ctrl, meta, shift, text }: Key): string => {
  // A line feed is Ctrl+J; the key Enter sends a carriage return.
  if (name === 'enter') return 'ctrl+j';
  // Escape alone comes as Escape with Alt.
  if (name === 'escape') return name;
  const named = name === 'return' ? 'enter' : name === '' ? text : name;
  return [
    ...(ctrl ? ['ctrl'] : []),
    ...(meta ? ['alt'] : []),
    ...(shift && named.length > 1 ? ['shift'] : []),
    named,
  ].join('+');
};

/** `ctrl+k` → `Ctrl+K`. */
export const labelOf = (chord: string): string =>
  chord
    .split('+')
    .map((part) => LABELS[part] ?? part.charAt(0).toUpperCase() + part.slice(1))
    .join('+');

const LABELS: { readonly [part: string]: string } = { pageup: 'PgUp', pagedown: 'PgDn', escape: 'Esc' };
