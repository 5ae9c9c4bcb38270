import type { Attachment } from '../client/attach.ts';
import type { TurnView } from '../client/turn-view.ts';
import type { LogRecord } from '../protocol/events.ts';
import { decisionLine } from './ask.ts';
import { colour, type Output, oneLine, printable } from './output.ts';

const BUFFERED_BYTES_MAX = 1 << 20;

/**
 * A turn on the screen: the model's text on stdout, everything about it on stderr. As JSON lines, the event log itself.
 */
export class TurnPrinter {
  #output: Output;
  #format: 'text' | 'json' | 'jsonl' | 'quiet';
  #attachment: Attachment | null = null;
  #step = 0;
  #atLineStart = true;
  #tty = process.stdout.isTTY === true;

  #says: boolean;
  #noticed = '';

  /** Without `says` the model's text is left to whoever judges it. */
  constructor(output: Output, format: 'text' | 'json' | 'jsonl' | 'quiet', says = true) {
    this.#output = output;
    this.#format = format;
    this.#says = says;
  }

  /** A reader of stdout that is slower than the model holds the attachment back; the daemon's log is the buffer. */
  throttle(attachment: Attachment): void {
    this.#attachment = attachment;
  }

  begin(sessionId: string, turnId: string): void {
    if (this.#format === 'jsonl') this.#output.json({ type: 'ids', session_id: sessionId, turn_id: turnId });
    if (this.#format === 'text') this.#output.err(colour.dim(`opta · session ${sessionId}\n`));
  }

  record(record: LogRecord, text: string): void {
    this.#noticed = '';
    if (this.#format === 'jsonl') this.#output.out(`${text}\n`);
    if (this.#format === 'text') this.#line(record);
    if (this.#attachment && this.#output.bufferedBytes() > BUFFERED_BYTES_MAX) {
      const attachment = this.#attachment;
      attachment.pause();
      this.#output.onDrain(() => attachment.resume());
    }
  }

  end(turn: TurnView): void {
    if (this.#format !== 'text') return;
    this.#freshLine(true);
    if (turn.end?.outcome !== 'done') return;
    const { elapsedMs, tokens } = turn.end.stats;
    const calls = `${turn.toolCalls} tool call${turn.toolCalls === 1 ? '' : 's'}`;
    const model = turn.model === '' ? '' : ` · ${oneLine(turn.model)}`;
    this.#output.err(colour.dim(`${(elapsedMs / 1_000).toFixed(1)} s · ${calls} · ${tokens} tokens${model}\n`));
  }

  /** The same again, with nothing in between, says nothing new. */
  notice(text: string): void {
    if (this.#format === 'quiet' || text === this.#noticed) return;
    this.#noticed = text;
    this.#freshLine();
    this.#output.err(colour.dim(`opta: ${oneLine(text)}\n`));
  }

  #line(record: LogRecord): void {
    switch (record.event) {
      case 'turn.token':
        if (record.payload.step !== this.#step) this.#freshLine(true);
        this.#step = record.payload.step;
        this.#text(record.payload.text);
        break;
      case 'tool.start':
        this.#aside(`${colour.cyan('›')} ${record.payload.name} ${colour.dim(oneLine(record.payload.args, 120))}`);
        break;
      case 'tool.end': {
        const mark = record.payload.isError ? colour.red('✗') : colour.green('✓');
        const took = `${Math.round(record.payload.elapsedMs)} ms`;
        const said = record.payload.isError ? ` ${oneLine(record.payload.result, 120)}` : '';
        this.#aside(`${mark} ${record.payload.name} ${colour.dim(took)}${said}`);
        break;
      }
      case 'permission.resolved':
        this.#aside(colour.dim(decisionLine(record.payload)));
        break;
      case 'turn.queued':
        if (record.payload.position > 1) this.#aside(colour.dim(`queued at place ${record.payload.position}`));
        break;
      default:
    }
  }

  #text(text: string): void {
    if (text === '' || !this.#says) return;
    // What goes to a file or a program keeps its bytes; what goes to a terminal must not steer it.
    this.#output.out(this.#tty ? printable(text) : text);
    this.#atLineStart = text.endsWith('\n');
  }

  #aside(text: string): void {
    this.#freshLine();
    this.#output.err(`${text}\n`);
  }

  /** On a terminal both streams share the line. Elsewhere stdout only breaks between the texts of two steps. */
  #freshLine(always = false): void {
    if (this.#atLineStart || !(always || this.#tty)) return;
    this.#output.out('\n');
    this.#atLineStart = true;
  }
}
