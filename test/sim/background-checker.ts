import { isRunning } from '../../src/protocol/background.ts';
import type { LogRecord } from '../../src/protocol/events.ts';

/** What a session's log may say of its background processes; a part of the oracle, which knows nothing of the actors. */
export interface SeenProcess {
  pid: number;
  startedSeq: number;
  texts: string[];
  ended: string | null;
  /** No more room: what follows are last words. */
  truncated: boolean;
  /** By stream: what was kept of the beginning, how much was left out, and the last words. */
  kept: { [stream: string]: { head: string; leftOut: number; tail: string } };
}

export class BackgroundChecker {
  readonly seen = new Map<string, SeenProcess>();
  readonly #sessionMax: number;
  readonly #bad: (rule: string, r: LogRecord) => void;

  constructor(sessionMax: number, bad: (rule: string, r: LogRecord) => void) {
    this.#sessionMax = sessionMax;
    this.#bad = bad;
  }

  add(r: LogRecord): void {
    if (r.event === 'background.output') this.#output(r);
    if (r.event !== 'background.status') return;
    const { process, reason, previousState, identity } = r.payload;
    const { processId, pid } = process;
    const known = this.seen.get(processId);
    if (reason === 'started') {
      if (known) this.#bad('BG1: started twice', r);
      if (process.state !== 'running' || !isRunning(process)) this.#bad('BG1: started and does not run', r);
      if (identity === undefined) this.#bad('BG2: nothing proves which process this is', r);
      this.seen.set(processId, { pid, startedSeq: r.seq, texts: [], ended: null, truncated: false, kept: {} });
      const running = [...this.seen.values()].filter((p) => p.ended === null).length;
      if (running > this.#sessionMax) this.#bad('BG5: more processes than a session may have', r);
      return;
    }
    if (!known || known.ended !== null) return this.#bad('BG1: the end of what does not run', r);
    if (previousState !== 'running' || isRunning(process) || process.state !== reason)
      this.#bad('BG1: an end that is none', r);
    if (pid !== known.pid) this.#bad('BG1: another pid', r);
    known.ended = reason;
  }

  #output(r: LogRecord & { event: 'background.output' }): void {
    const { processId, seq, stream, text, truncated, leftOut = 0 } = r.payload;
    const p = this.seen.get(processId);
    if (!p || p.ended !== null) return this.#bad('BG1: output of what does not run', r);
    p.texts.push(text);
    if (seq !== p.texts.length) this.#bad('BG1: chunks out of order', r);
    p.kept[stream] ??= { head: '', leftOut: 0, tail: '' };
    const kept = p.kept[stream];
    if (leftOut > 0 && !p.truncated) this.#bad('BG4: something was left out and nobody was told', r);
    kept.leftOut += leftOut;
    if (p.truncated) kept.tail += text;
    else kept.head += text;
    p.truncated ||= truncated === true;
  }

  quiet(report: (violation: string) => void): void {
    for (const [processId, p] of this.seen) if (p.ended === null) report(`BG1: process ${processId} never ended`);
  }
}

/** What the log kept of a stream is the beginning and the end of what was written, and it says how much is missing between. */
export const keptProblem = (p: SeenProcess, stream: string, written: string): string | null => {
  const { head = '', leftOut = 0, tail = '' } = p.kept[stream] ?? {};
  // A daemon that died took with it what was not recorded.
  if (p.ended === 'interrupted' && tail === '')
    return written.startsWith(head) ? null : 'BG4: other output than was written';
  if (head.length + leftOut + tail.length !== written.length)
    return `BG4: ${head.length} and ${tail.length} kept, ${leftOut} left out, of ${written.length} written`;
  return written.startsWith(head) && written.endsWith(tail) ? null : 'BG4: other output than was written';
};
