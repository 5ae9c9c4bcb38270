import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import type * as Blessed from 'blessed';

/** One place of the screen: how it looks, as blessed packs it, and what stands there. */
export type Cell = [attributes: number, text: string];
type Line = Cell[] & { dirty?: boolean };

/** What we use of a blessed screen; its own types leave the buffer out. */
export interface BlessedScreen {
  lines: Line[];
  /** What blessed believes to stand on the terminal. */
  olines: Line[];
  readonly dattr: number;
  readonly program: {
    cols: number;
    rows: number;
    cup(row: number, column: number): unknown;
    showCursor(): unknown;
    hideCursor(): unknown;
    flush(): void;
    clear(): unknown;
  };
  alloc(): void;
  draw(first: number, last: number): void;
  destroy(): void;
  /** To the terminal's other buffer, and back. */
  enter(): void;
  leave(): void;
  on(event: 'resize', listener: () => void): void;
}

type Env = { readonly [name: string]: string | undefined };

const isUtf8 = (env: Env): boolean => {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG;
  // Where nobody says anything, terminals of today are.
  return locale === undefined || locale === '' || /utf-?8/i.test(locale);
};

/** Terminals of this family draw what xterm draws; by their own names blessed finds fewer colours. */
const terminalOf = ({ TERM = 'xterm' }: Env): string => (/-(256color|direct)$/.test(TERM) ? 'xterm-256color' : TERM);

/**
 * The screen in the terminal's other buffer. blessed has the terminal's abilities, the buffer and the difference to what is shown;
 * keys are read elsewhere (`keys.ts`), so it is given an input on which nothing ever comes.
 */
export const openScreen = (output: NodeJS.WriteStream, env: Env): BlessedScreen => {
  const utf8 = isUtf8(env);
  // Lines as characters, not in the alternate character set, which some terminals draw as letters.
  if (utf8) process.env.NCURSES_NO_UTF8_ACS ??= '1';
  const blessed = createRequire(import.meta.url)('reblessed') as typeof Blessed;
  const screen = blessed.screen({
    input: new PassThrough(),
    output,
    terminal: terminalOf(env),
    fullUnicode: utf8,
    forceUnicode: utf8,
    smartCSR: false,
    resizeTimeout: 50,
  } as Blessed.Widgets.IScreenOptions);
  return screen as unknown as BlessedScreen;
};
