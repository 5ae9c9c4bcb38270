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
  kept: { [stream: string]: KeptOutput };
}

export interface KeptOutput {
  head: string;
  leftOut: number;
  tail: string;
  /** All of it in order, and what was left out before each. */
  pieces: { text: string; leftOut: number }[];
}
export const noOutput = (): KeptOutput => ({ head: '', leftOut: 0, tail: '', pieces: [] });

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
    p.kept[stream] ??= noOutput();
    const kept = p.kept[stream];
    kept.pieces.push({ text, leftOut });
    if (leftOut > 0 && !p.truncated) this.#bad('BG4: something was left out and nobody was told', r);
    if (truncated && p.truncated) this.#bad('BG4: its room was used up twice', r);
    kept.leftOut += leftOut;
    if (p.truncated) kept.tail += text;
    else kept.head += text;
    p.truncated ||= truncated === true;
  }

  quiet(report: (violation: string) => void): void {
    for (const [processId, p] of this.seen) if (p.ended === null) report(`BG1: process ${processId} never ended`);
  }
}

/**
 * What the log kept of a stream is what was written, piece by piece, and it says how much is missing between. `bereft`: a daemon died
 * that had read some of it and recorded nothing of that; then there are holes of which nobody knows.
 */
export const keptProblem = (p: SeenProcess, stream: string, written: string, bereft = false): string | null => {
  let at = 0;
  for (const { text, leftOut } of p.kept[stream]?.pieces ?? []) {
    const from = bereft ? written.indexOf(text, at) : at + leftOut;
    if (from < 0 || !written.startsWith(text, from)) return `BG4: other output than was written, at ${at}`;
    at = from + text.length;
  }
  // A daemon that died took with it what was not recorded.
  if (at === written.length || bereft || p.ended === 'interrupted') return null;
  return `BG4: ${at} kept or left out, of ${written.length} written`;
};
