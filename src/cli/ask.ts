import { userInfo } from 'node:os';
import { createInterface } from 'node:readline';
import type { DaemonHttp } from '../client/http.ts';
import { OptaError } from '../protocol/errors.ts';
import type { EventPayload, LogRecord } from '../protocol/events.ts';
import type { ResolvePermission } from '../protocol/frames.ts';
import { ANSWER_CHARS_MAX, type Question } from '../protocol/turn.ts';
import { colour, type Output, oneLine, printable } from './output.ts';

export type Answer = Pick<ResolvePermission, 'decision' | 'decidedBy' | 'remember' | 'answer'> & { note?: string };
/** Decides about one request. `signal` aborts when somebody else was first; then the answer is not used. */
export type Decide = (request: EventPayload<'permission.request'>, signal: AbortSignal) => Promise<Answer | null>;

/**
 * Answers the permission requests of one turn, one after another. Whoever answers first has decided ([PM2]): a request that
 * is resolved elsewhere takes its question off the screen.
 */
export class PermissionDesk {
  #http: DaemonHttp;
  #sessionId: string;
  #decide: Decide;
  #output: Output;
  #open = new Map<string, AbortController>();
  #line: Promise<void> = Promise.resolve();

  constructor(http: DaemonHttp, sessionId: string, decide: Decide, output: Output) {
    this.#http = http;
    this.#sessionId = sessionId;
    this.#decide = decide;
    this.#output = output;
  }

  /** Asks nothing before that: what was decided long ago is no question. */
  after(caughtUp: Promise<void>): void {
    this.#line = this.#line.then(() => caughtUp);
  }

  take(record: LogRecord): void {
    if (record.event === 'permission.request') {
      const request = record.payload;
      const control = new AbortController();
      this.#open.set(request.requestId, control);
      this.#line = this.#line.then(() => this.#answer(request, control));
    }
    if (record.event === 'permission.resolved') this.#withdraw(record.payload.requestId);
    if (record.event === 'turn.done' || record.event === 'turn.error') {
      for (const requestId of this.#open.keys()) this.#withdraw(requestId);
    }
  }

  #withdraw(requestId: string): void {
    this.#open.get(requestId)?.abort();
    this.#open.delete(requestId);
  }

  async #answer(request: EventPayload<'permission.request'>, control: AbortController): Promise<void> {
    if (control.signal.aborted) return;
    const answer = await this.#decide(request, control.signal);
    if (answer === null || control.signal.aborted) return;
    const { note, ...decision } = answer;
    if (note !== undefined) this.#output.err(`${note}\n`);
    try {
      await this.#http.resolvePermission(this.#sessionId, { requestId: request.requestId, ...decision });
    } catch (cause) {
      const error = cause instanceof OptaError ? cause : new OptaError('internal', String(cause));
      // The deadline or another writer was first: the event that says so is in the stream already.
      if (error.code === 'permission-resolved' || error.code === 'permission-not-found') return;
      this.#output.err(`${colour.yellow('!')} the answer did not reach the daemon: ${oneLine(error.message)}\n`);
    }
  }
}

/** With nobody to ask, the answer is no, at once and aloud: the model is told, and the person reads it afterwards. */
export const denyUnattended: Decide = (request) => denyFor('opta-do')(request);

export const denyFor =
  (program: string) =>
  (request: EventPayload<'permission.request'>): Promise<Answer> =>
    Promise.resolve({
      decision: 'deny',
      decidedBy: `${program} (no terminal)`,
      note: `${colour.yellow('!')} ${refusedAt(request)}`,
    });

const refusedAt = ({ question, summary, toolName }: EventPayload<'permission.request'>): string =>
  question === undefined
    ? `denied ${oneLine(summary || toolName)}: there is no terminal to ask at (--auto allows edits, --dangerous everything)`
    : `not answered: ${oneLine(question.text, 200)}: there is no terminal to ask at`;

/** Puts a question and resolves with the line that answers it: '' at end of input, null when it was withdrawn. */
export type Put = (prompt: string, signal: AbortSignal) => Promise<string | null>;

/** Asks y/n on stderr, or `a` for every further call of this tool in the session, `w` for those in its folder. Anything else is no; end of input is no. */
export const askPerson =
  (output: Output, put: Put = question): Decide =>
  async (request, signal) => {
    if (request.question !== undefined) return answerOf(request.question, output, put, signal);
    output.err(`\n${colour.yellow('?')} ${colour.bold(oneLine(request.toolName))}  ${oneLine(request.summary, 400)}\n`);
    if (request.preview !== undefined) output.err(`${colour.dim(clip(printable(request.preview)))}\n`);
    const text = await put(`  Allow? ${colour.dim('a = always in this session, w = in this folder [y/N]')} `, signal);
    if (text === null) return null;
    const decidedBy = personName();
    if (/^a(lways)?$/i.test(text.trim())) return { decision: 'allow', decidedBy, remember: 'session' };
    if (/^w$/i.test(text.trim())) return { decision: 'allow', decidedBy, remember: 'workspace' };
    return { decision: /^y(es)?$/i.test(text.trim()) ? 'allow' : 'deny', decidedBy };
  };

/** A typed line is the answer, a number one of the options; nothing declines. */
const answerOf = async (asked: Question, output: Output, put: Put, signal: AbortSignal): Promise<Answer | null> => {
  output.err(`\n${colour.yellow('?')} ${colour.bold(clip(printable(asked.text)))}\n${optionLines(asked)}`);
  const text = await put(`  Answer: ${colour.dim('[nothing: none]')} `, signal);
  if (text === null) return null;
  const answer = answerFrom(asked, text);
  const decidedBy = personName();
  return answer === null ? { decision: 'deny', decidedBy } : { decision: 'allow', decidedBy, answer };
};

export const optionLines = ({ options = [] }: Question): string =>
  options.map((option, i) => `  ${i + 1}. ${oneLine(option, 200)}\n`).join('');

/** What a line says to a question; null when it says nothing. */
export const answerFrom = ({ options = [] }: Question, line: string): string | null => {
  const text = line.trim();
  const picked = /^\d+$/.test(text) ? options[Number(text) - 1] : undefined;
  return picked ?? (text === '' ? null : text.slice(0, ANSWER_CHARS_MAX));
};

/** A decision in a line, for those who did not take it. */
export const decisionLine = (p: EventPayload<'permission.resolved'>): string => {
  const by = oneLine(p.decidedBy, 60);
  if (p.answer !== undefined) return `answered by ${by}: ${oneLine(p.answer, 100)}`;
  if (p.cancelledBy !== undefined) return `cancelled ${oneLine(p.toolName)} by ${by}`;
  const where = p.remember === 'workspace' ? 'folder' : 'session';
  const always = p.remember === undefined ? '' : `, and from now on in this ${where}`;
  return `${p.decision === 'allow' ? 'allowed' : 'denied'} ${oneLine(p.toolName)} by ${by}${always}`;
};

const PREVIEW_LINES_MAX = 40;
const clip = (text: string): string => {
  const lines = text.split('\n');
  const more = lines.length - PREVIEW_LINES_MAX;
  return more <= 0 ? text : [...lines.slice(0, PREVIEW_LINES_MAX), `… ${more} more lines`].join('\n');
};

/** One line from the keyboard; '' at end of input, null when the question was withdrawn. */
export const question = (prompt: string, signal?: AbortSignal): Promise<string | null> =>
  new Promise((resolve) => {
    const line = createInterface({ input: process.stdin, output: process.stderr });
    const settle = (text: string | null): void => {
      signal?.removeEventListener('abort', withdraw);
      resolve(text);
      line.close();
    };
    const withdraw = (): void => {
      process.stderr.write('(decided elsewhere)\n');
      settle(null);
    };
    signal?.addEventListener('abort', withdraw, { once: true });
    // Readline takes Ctrl-C away from the process; here it means what it means everywhere else.
    line.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    line.on('close', () => settle(''));
    line.question(prompt, settle);
  });

export const personName = (): string => {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in some containers.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
};
