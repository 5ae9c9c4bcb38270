import { itemsOf, type TurnView } from '../../client/turn-view.ts';
import type { LogRecord } from '../../protocol/events.ts';
import type { Message } from '../../protocol/session.ts';
import { decisionLine } from '../ask.ts';
import { failureText } from '../exit.ts';
import { colour, type Output, oneLine, printable } from '../output.ts';
import { TurnPrinter } from '../turn-printer.ts';
import type { Conversation } from './conversation.ts';

const SAID_CHARS_MAX = 400;
/** Messages of before that are shown when a session is taken up again. */
const BEFORE_MAX = 4;

/**
 * What happens in the session, as it happens: the answers to one's own turns on stdout, everything else on stderr, with who
 * said it.
 */
export class ChatPrinter {
  readonly #output: Output;
  readonly #talk: Conversation;
  #own: TurnPrinter | null = null;

  constructor(output: Output, talk: Conversation) {
    this.#output = output;
    this.#talk = talk;
  }

  record(record: LogRecord): void {
    const { turnId } = record.payload as { turnId?: string };
    if (this.#talk.isMine(turnId)) this.#mine(record);
    else if (turnId !== undefined) this.#others(record);
    else this.#session(record);
  }

  notice(text: string): void {
    if (this.#own) this.#own.notice(text);
    else this.#aside(`opta: ${oneLine(text, SAID_CHARS_MAX)}`);
  }

  /** How the conversation stood when it was left. */
  before(messages: readonly Message[]): void {
    const said = messages.filter(({ role, content }) => (role === 'user' || role === 'assistant') && content !== '');
    for (const { role, content } of said.slice(-BEFORE_MAX))
      this.#aside(`${role === 'user' ? '›' : ' '} ${oneLine(content, SAID_CHARS_MAX)}`);
  }

  /** The turn of somebody else that ran when this client came. */
  joined({ writerId, content }: { writerId: string; content: string }): void {
    this.#said(writerId, content);
    this.#aside('  (it runs)');
  }

  #mine(record: LogRecord): void {
    const { active, state, past } = this.#talk.link.view.current;
    if (record.event === 'turn.queued') {
      this.#own = new TurnPrinter(this.#output, 'text');
      const ahead = state.active;
      if (ahead && record.payload.position === 1) this.#aside(`waits for the turn of ${oneLine(ahead.writerId, 40)}`);
    }
    this.#own?.record(record, '');
    if (record.event !== 'turn.done' && record.event !== 'turn.error') return;
    const turn = past.at(-1) ?? active;
    if (turn) this.#own?.end(turn);
    this.#own = null;
    if (record.event === 'turn.error') this.#output.err(failureText(record.payload));
  }

  #others(record: LogRecord): void {
    const { active, past } = this.#talk.link.view.current;
    switch (record.event) {
      case 'turn.start':
        this.#said(record.payload.writerId, active?.content ?? '');
        break;
      case 'tool.start':
        this.#aside(`  › ${record.payload.name} ${oneLine(record.payload.args, 100)}`);
        break;
      case 'tool.end':
        if (record.payload.isError) this.#aside(`  ✗ ${record.payload.name} ${oneLine(record.payload.result, 100)}`);
        break;
      case 'permission.resolved':
        this.#aside(`  ${decisionLine(record.payload)}`);
        break;
      case 'turn.done':
      case 'turn.error':
        this.#ended(past.findLast((turn) => turn.turnId === record.payload.turnId));
        break;
      default:
    }
  }

  /** The words of others come in one piece: a stream would tear the line that is being typed. */
  #ended(turn: TurnView | undefined): void {
    if (!turn?.end) return;
    const texts = itemsOf(turn).flatMap((item) => (item.kind === 'text' ? [item.text] : []));
    const text = printable(texts.join('\n')).trim();
    if (text !== '') this.#output.err(`${text.replace(/^/gm, '  ')}\n`);
    const { end } = turn;
    if (end.outcome === 'done') this.#aside(`  (answer to ${oneLine(turn.writerId, 40)})`);
    else this.#aside(`  (${end.outcome}: ${oneLine(end.message, 200)})`);
  }

  #session(record: LogRecord): void {
    if (record.event !== 'session.updated') return;
    const { change } = record.payload;
    if (change?.kind === 'deleted')
      this.#aside('opta: this session was put away; opta sessions undelete brings it back');
    if (change?.kind === 'settings' && change.model !== undefined)
      this.#aside(`opta: the model is now ${oneLine(change.model)}`);
  }

  #said(writerId: string, content: string): void {
    this.#output.err(`${colour.magenta(`${oneLine(writerId, 40)}›`)} ${oneLine(content, SAID_CHARS_MAX)}\n`);
  }

  #aside(text: string): void {
    this.#output.err(`${colour.dim(text)}\n`);
  }
}
