import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import { Writable } from 'node:stream';
import { OptaError } from '../../protocol/errors.ts';
import { TASK_BYTES_MAX } from '../stdin.ts';

/** Where a person, or a script, says what comes next. Prompts and questions go to stderr. */
export interface Lines {
  /** Somebody sits there and sees the prompt. */
  readonly interactive: boolean;
  /** Null at the end of the input. */
  next(prompt: string): Promise<string | null>;
  /** A question in between: what was typed before it was asked is no answer. '' at the end of input, null when withdrawn. */
  ask(prompt: string, signal: AbortSignal): Promise<string | null>;
  /** Writes around whatever is being typed. */
  say(text: string): void;
  /** Gives the terminal to another program for a while. Absent where there is none. */
  lend?<T>(to: () => Promise<T>): Promise<T>;
  /** Whatever is awaited now, and from now on, is the end. */
  close(): void;
}

/** Lines that arrive within this are one paste. */
const PASTE_MS = 20;
const HISTORY_MAX = 100;
const PASTE_CHARS_MAX = TASK_BYTES_MAX;

/** Terminals then mark where a paste begins and ends. */
const BRACKETED_PASTE = { on: '\u001b[?2004h', off: '\u001b[?2004l' };

/** What readline draws: nothing while something else has the screen. What is typed meanwhile is kept for the next prompt. */
class Echo extends Writable {
  muted = true;
  get columns(): number {
    return process.stderr.columns ?? 80;
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.muted) done();
    else process.stderr.write(chunk, done);
  }
}

/** A person at a terminal. */
export class TerminalLines implements Lines {
  readonly interactive = true;
  #prompting = false;
  readonly #echo = new Echo();
  readonly #rl: Interface;
  readonly #typed: string[] = [];
  /** Lines of a paste that is not sent yet. */
  #pieces: string[] = [];
  #pasting = false;
  #timer: NodeJS.Timeout | undefined;
  #waiting: ((line: string | null) => void) | null = null;
  #answer: ((text: string) => void) | null = null;
  #closed = false;

  /** `history`: what was said before, newest first. `interrupt` is called for Ctrl-C with what stands in the line. */
  constructor(history: readonly string[], interrupt: (line: string) => void) {
    const rl = createInterface({
      input: process.stdin,
      output: this.#echo,
      terminal: true,
      history: history.slice(0, HISTORY_MAX),
      historySize: HISTORY_MAX,
      removeHistoryDuplicates: true,
    });
    this.#rl = rl;
    process.stderr.on('resize', () => this.#echo.emit('resize'));
    process.stderr.write(BRACKETED_PASTE.on);
    process.on('exit', this.#restore);
    // Before readline, which takes the line ends of a paste for Enter.
    process.stdin.prependListener('keypress', this.#watch);
    rl.on('line', (line) => this.#take(line));
    rl.on('close', () => this.#over());
    // An answer to a question is nothing to say again.
    rl.on('history', (history: string[]) => {
      if (this.#answer) history.shift();
    });
    rl.on('SIGINT', () => {
      const { line } = rl;
      if (this.#prompting && (line !== '' || this.#pieces.length > 0)) {
        // What stands there is given up, as a shell does it.
        this.#pieces = [];
        this.#erase();
        return;
      }
      interrupt(line);
    });
  }

  next(prompt: string): Promise<string | null> {
    const typed = this.#typed.shift();
    if (typed !== undefined) return Promise.resolve(typed);
    if (this.#closed) return Promise.resolve(null);
    this.#echo.muted = false;
    this.#prompting = true;
    this.#rl.setPrompt(prompt);
    this.#rl.prompt(true);
    return new Promise((resolve) => {
      this.#waiting = (line) => {
        this.#waiting = null;
        this.#echo.muted = true;
        this.#prompting = false;
        resolve(line);
      };
    });
  }

  ask(prompt: string, signal: AbortSignal): Promise<string | null> {
    if (signal.aborted) return Promise.resolve(null);
    if (this.#closed) return Promise.resolve('');
    this.#erase();
    this.#echo.muted = false;
    return new Promise((resolve) => {
      const settle = (text: string | null): void => {
        signal.removeEventListener('abort', withdraw);
        this.#answer = null;
        this.#echo.muted = true;
        resolve(text);
      };
      const withdraw = (): void => {
        process.stderr.write('(decided elsewhere)');
        // Its own abort takes the question off readline and ends the line.
        settle(null);
        process.stderr.write('\n');
      };
      this.#answer = settle;
      signal.addEventListener('abort', withdraw, { once: true });
      this.#rl.question(prompt, { signal }, settle);
    });
  }

  say(text: string): void {
    if (!this.#prompting) {
      process.stderr.write(text);
      return;
    }
    const { rows } = this.#rl.getCursorPos();
    moveCursor(process.stderr, 0, -rows);
    cursorTo(process.stderr, 0);
    clearScreenDown(process.stderr);
    process.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
    // Readline would go up again to where the prompt began before.
    (this.#rl as Interface & { prevRows?: number }).prevRows = 0;
    this.#rl.prompt(true);
  }

  async lend<T>(to: () => Promise<T>): Promise<T> {
    this.#rl.pause();
    process.stdin.setRawMode(false);
    process.stderr.write(BRACKETED_PASTE.off);
    try {
      return await to();
    } finally {
      process.stdin.setRawMode(true);
      process.stderr.write(BRACKETED_PASTE.on);
      this.#rl.resume();
    }
  }

  close(): void {
    this.#rl.close();
    process.stdin.pause();
  }

  readonly #watch = (_text: unknown, key: { name?: string } | undefined): void => {
    if (key?.name === 'paste-start') this.#pasting = true;
    if (key?.name === 'paste-end') this.#pasting = false;
  };

  readonly #restore = (): void => void process.stderr.write(BRACKETED_PASTE.off);

  #take(line: string): void {
    const first = this.#pieces.length === 0;
    this.#pieces.push(line);
    // The lines of a paste wait for Enter; where pastes are not marked, for what comes with them.
    if (this.#pasting) return;
    if (first) this.#timer = setTimeout(() => this.#deliver(), PASTE_MS);
    else if (this.#timer === undefined) this.#deliver();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pieces.length === 0) return;
    const text = this.#pieces.join('\n').slice(0, PASTE_CHARS_MAX);
    this.#pieces = [];
    if (this.#waiting) this.#waiting(text);
    else this.#typed.push(text);
  }

  #erase(): void {
    this.#rl.write(null, { ctrl: true, name: 'e' });
    this.#rl.write(null, { ctrl: true, name: 'u' });
  }

  #over(): void {
    this.#closed = true;
    process.stdin.removeListener('keypress', this.#watch);
    process.removeListener('exit', this.#restore);
    this.#restore();
    if (this.#prompting) process.stderr.write('\n');
    if (this.#pieces.length > 0) this.#deliver();
    this.#answer?.('');
    this.#waiting?.(null);
  }
}

/** A script, a pipe or a file: one line after another, as fast as they are wanted. */
export class PipedLines implements Lines {
  readonly interactive = false;
  readonly #lines: AsyncGenerator<string>;
  #stop: () => void = () => undefined;
  readonly #stopped: Promise<null>;

  constructor(input: AsyncIterable<Buffer | string> = process.stdin) {
    this.#lines = splitLines(input);
    this.#stopped = new Promise((resolve) => {
      this.#stop = () => resolve(null);
    });
  }

  next(): Promise<string | null> {
    const line = this.#lines.next().then(({ value, done }) => (done ? null : value));
    // Whoever stops here does not wait for it any more.
    line.catch(() => undefined);
    return Promise.race([this.#stopped, line]);
  }

  ask(): Promise<string | null> {
    return Promise.resolve('');
  }

  say(text: string): void {
    process.stderr.write(text);
  }

  close(): void {
    this.#stop();
    process.stdin.destroy();
  }
}

/** The last one may have no newline. A line that no turn could hold ends the input. */
export async function* splitLines(input: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of input) {
    rest += typeof part === 'string' ? part : decoder.decode(part, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() as string;
    for (const line of lines) yield line.replace(/\r$/, '');
    if (rest.length > TASK_BYTES_MAX)
      throw new OptaError('payload-too-large', `A line is longer than ${TASK_BYTES_MAX >> 20} MiB`);
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}
