import { OptaError, toOptaError } from '../../protocol/errors.ts';
import { PermissionDesk } from '../ask.ts';
import { type Context, daemonOf } from '../context.ts';
import { EXIT, exitCodeOf, reportFailure } from '../exit.ts';
import { offerLine, offersFor } from '../local-servers.ts';
import { canAsk, colour, type Output, oneLine } from '../output.ts';
import { answerJson, exitOf } from './answer.ts';
import { Awaiting, decider } from './approvals.ts';
import { type Conversation, loaded, openAsks } from './conversation.ts';
import { editText } from './editor.ts';
import type { Lines } from './lines.ts';
import type { ChatSetup, Format } from './options.ts';
import { ChatPrinter } from './printer.ts';
import { expandReferences } from './references.ts';
import { runShell } from './shell-line.ts';
import { parseSlash, type Room, runSlash } from './slash.ts';
import { SLASH } from './slash-table.ts';

/**
 * A conversation by lines. stdout has the answers to one's own turns and nothing else: text as it comes, or a JSON line for each
 * turn. Whatever else is said goes to stderr, around the prompt.
 */
export class LineChat {
  readonly #ctx: Context;
  readonly #setup: ChatSetup;
  readonly #talk: Conversation;
  readonly #lines: Lines;
  /** stdout as it is; stderr around the prompt. */
  readonly #output: Output;
  #format: Format;
  readonly #awaiting = new Awaiting();
  /** What runs now, and can be ended. */
  #work: AbortController | null = null;
  #interrupted = false;
  #left = false;
  #exitCode: number = EXIT.ok;

  constructor(ctx: Context, setup: ChatSetup, talk: Conversation, lines: Lines) {
    this.#setup = setup;
    this.#talk = talk;
    this.#lines = lines;
    this.#format = setup.format;
    this.#output = Object.assign(Object.create(ctx.output) as Output, { err: (text: string) => lines.say(text) });
    this.#ctx = { ...ctx, output: this.#output };
  }

  /** Until the end of the input, or until the person leaves. Resolves with the exit code. */
  async run(sessionId: string): Promise<number> {
    await this.#enter(sessionId);
    for (;;) {
      const line = await this.#next();
      if (line === null || this.#left) break;
      if (line.trim() === '') continue;
      const code = await this.#say(line);
      // A person has seen it; a script learns it at the end.
      if (code !== EXIT.ok && !this.#lines.interactive) this.#exitCode = code;
      // Nobody reads the answers any more.
      if (this.#left || this.#interrupted || this.#output.closed) break;
    }
    return this.#exitCode;
  }

  /** Ctrl-C: ends what runs; the second time, or at the prompt, leaves. */
  interrupt(): void {
    if (this.#work === null) {
      this.#leave();
      return;
    }
    if (this.#work.signal.aborted) process.exit(EXIT.interrupted);
    this.#output.err('\nInterrupted: cancelling (once more to leave at once)\n');
    this.#work.abort();
    // A script was told to end, and not just its turn.
    if (this.#lines.interactive) return;
    this.#interrupted = true;
    this.#exitCode = EXIT.interrupted;
  }

  /** One question, its answer, and the end. */
  async once(sessionId: string, question: string): Promise<number> {
    await this.#enter(sessionId);
    return this.#turn(question);
  }

  #leave(): void {
    this.#left = true;
    this.#lines.close();
  }

  async #enter(sessionId: string): Promise<void> {
    const link = this.#talk.open(sessionId);
    const output = this.#output;
    const printer = new ChatPrinter(output, this.#talk);
    const mayAsk = canAsk(this.#ctx.env) && this.#setup.asks;
    const decide = decider(this.#talk, this.#lines, output, mayAsk, this.#awaiting);
    const desk = new PermissionDesk(this.#talk.client, sessionId, decide, output);
    link.on('event', ({ record }) => {
      if (this.#format === 'text') printer.record(record);
      desk.take(record);
      if (this.#format === 'json') this.#told(record.payload as { turnId?: string });
    });
    link.on('notice', (error) => this.#ctx.trace(error.message));
    link.on('reconnect', () => printer.notice('connected again'));
    link.on('state', (state) => {
      if (state === 'waiting') printer.notice('connection lost; looking for the daemon');
    });
    void link.ended.then((error) => {
      if (error === null || this.#talk.link !== link) return;
      // Whatever runs now fails with this error, and tells it.
      this.#exitCode =
        this.#work === null ? reportFailure(output, error, this.#format === 'json') : exitCodeOf(error.code);
      this.#leave();
    });
    await loaded(link);
    const { active, state } = link.view.current;
    if (this.#lines.interactive && this.#format === 'text') printer.before(state.messages);
    if (active && this.#format === 'text') printer.joined(active);
    for (const asked of openAsks(link.view.state)) desk.take(asked);
  }

  /** [CT2] The line of a turn of one's own, with the conversation as it is at the moment of its end. */
  #told({ turnId }: { turnId?: string }): void {
    const { past, state } = this.#talk.link.view.current;
    const turn = past.at(-1);
    if (turn === undefined || turn.turnId !== turnId || !this.#talk.isMine(turnId)) return;
    this.#output.json(answerJson(turn, state));
  }

  async #next(): Promise<string | null> {
    const { mode } = this.#talk.settings;
    const line = await this.#lines.next(`${colour.cyan(mode === 'chat' ? 'opta' : mode)}${colour.bold('›')} `);
    if (line === null || !this.#lines.interactive || !line.endsWith('\\')) return line;
    const more = await this.#lines.next('… ');
    return more === null ? line.slice(0, -1) : this.#joined(`${line.slice(0, -1)}\n${more}`);
  }

  async #joined(text: string): Promise<string> {
    if (!text.endsWith('\\')) return text;
    const more = await this.#lines.next('… ');
    return more === null ? text.slice(0, -1) : this.#joined(`${text.slice(0, -1)}\n${more}`);
  }

  async #say(line: string): Promise<number> {
    if (line.startsWith('!')) return this.#working((signal) => this.#shell(line.slice(1).trim(), signal));
    if (parseSlash(line) !== null)
      return this.#working(async (signal) => {
        const code = await runSlash(SLASH, line, this.#room(signal));
        if (code !== EXIT.ok) this.#refused(`${line.trim().split(/\s/)[0]} failed; stderr says why`, code);
        return code;
      });
    return this.#turn(line);
  }

  /** Under json a line that led to nothing is told on stdout too. */
  #refused(error: string, exit_code: number): void {
    if (this.#format === 'json' && !this.#lines.interactive) this.#output.json({ error, exit_code });
  }

  async #shell(command: string, signal: AbortSignal): Promise<number> {
    const { env, cwd } = this.#ctx;
    if (!this.#lines.interactive) {
      // What is piped in may be anybody's text.
      const error = '! runs a command only at a terminal';
      this.#output.err(`opta: ${error}\n`);
      this.#refused(error, EXIT.misuse);
      return EXIT.misuse;
    }
    if (command === '') return EXIT.ok;
    const failed = await runShell({ command, cwd, env, signal, say: (text) => this.#output.err(text) });
    if (failed !== null) this.#output.err(`${colour.red('✗')} ${failed}\n`);
    return failed === null ? EXIT.ok : EXIT.error;
  }

  async #turn(line: string): Promise<number> {
    const roots = [this.#talk.link.view.state.workspace ?? this.#ctx.cwd, ...this.#setup.addDirs];
    const { text, notes } = expandReferences(line, this.#ctx.cwd, roots);
    for (const note of notes) this.#output.err(`${colour.dim(oneLine(note, 400))}\n`);
    const { state } = this.#talk.link.view.current;
    const nameless = state.title === undefined && state.messages.length === 0;
    const code = await this.#working(async (signal) => {
      try {
        // A daemon that has gone is started again for somebody who speaks to it.
        if (this.#talk.link.state === 'waiting') await daemonOf(this.#ctx, {}, this.#setup.env);
        const turn = await this.#awaiting.during(() => this.#talk.run(text, signal));
        const ended = exitOf(turn);
        if (ended !== EXIT.ok && turn.end?.outcome === 'error') await this.#offers(turn.end.code);
        return ended;
      } catch (cause) {
        const error = signal.aborted ? new OptaError('cancelled', toOptaError(cause).message) : cause;
        return reportFailure(this.#output, error, this.#format === 'json', { session_id: this.#talk.sessionId });
      }
    });
    if (nameless) await this.#talk.name(line).catch((cause) => this.#ctx.trace(String(cause)));
    return code;
  }

  async #offers(code: string): Promise<void> {
    for (const offer of await offersFor(this.#ctx, code)) this.#output.err(`  ${offerLine(offer)}\n`);
  }

  async #working<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const outer = this.#work;
    const control = outer ?? new AbortController();
    this.#work = control;
    try {
      return await work(control.signal);
    } finally {
      this.#work = outer;
    }
  }

  #room(signal: AbortSignal): Room {
    const lines = this.#lines;
    const err = (text: string): void => this.#output.err(text);
    const output = Object.assign(Object.create(this.#output) as Output, {
      out: err,
      json: (value: unknown) => err(`${JSON.stringify(value)}\n`),
      pretty: (value: unknown) => err(`${JSON.stringify(value, null, 2)}\n`),
    });
    return {
      ctx: { ...this.#ctx, output },
      talk: this.#talk,
      signal,
      face: 'line',
      leave: () => this.#leave(),
      go: (sessionId) => this.#enter(sessionId),
      send: async (text) => void (await this.#turn(text)),
      ...(canLend(lines) ? { edit: (text: string) => lines.lend(() => editText(this.#ctx.env, text)) } : {}),
      format: (to) => {
        this.#format = to ?? this.#format;
        return this.#format;
      },
    };
  }
}

const canLend = (lines: Lines): lines is Lines & Required<Pick<Lines, 'lend'>> => lines.lend !== undefined;
