import type { OptaClient } from '../client/client.ts';
import { oneLine } from '../client/printable.ts';
import { toOptaError } from '../protocol/errors.ts';
import type { InspectedActor, Why } from '../protocol/inspection.ts';
import { actorRows, changeWords, SIGNS, stateRows, type Tone, whyRows } from '../views/chart.ts';
import type { Key } from './keys.ts';
import { type Overlay, ruleTitle } from './overlay.ts';
import { clean, cropped, fitted, type Row, type Span, type Style, wrap } from './text.ts';

/** What the pane needs of the session that is shown. */
export interface ChartSource {
  client: Pick<OptaClient, 'feed' | 'inspect' | 'why'>;
  sessionId: string;
  /** Of the view: up to which event it has folded, and the hash of that, which costs as much as the session is long. */
  seq(): number;
  hash(): string;
  changed(): void;
}

/** After a change the tree is asked for so much later at the most: a burst is one question. */
const LOOK_MS = 150;
const CHANGES_MAX = 50;
/** The hash is made once nothing has happened for so long: while text streams, no two clients could compare it anyway. */
const STILL_MS = 500;
const FACTS = ['turnId', 'step', 'requestId', 'attempt', 'deadlineMs', 'queued'];

const LOOKS: { readonly [T in Tone]: Style } = {
  rest: 'dim',
  work: 'good',
  asks: 'warn',
  ending: 'accent',
  bad: 'bad',
};

/**
 * The live actors of a session with their active states, what it waits for, and the last changes of state. It is fed while it
 * is open; closed, it costs nothing.
 */
export class ChartPane implements Overlay {
  readonly #source: ChartSource;
  readonly #end = new AbortController();
  #root: InspectedActor | null = null;
  #why: Why | null = null;
  #said = 'looking …';
  #changes: string[] = [];
  readonly #states = new Map<string, unknown>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #again = false;
  #top = 0;
  #room = 1;
  #count = 1;
  #hash = { seq: -1, sinceMs: 0, text: '' };

  constructor(source: ChartSource) {
    this.#source = source;
    void this.#follow();
    void this.#look();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#end.abort();
  }

  key({ name }: Key): boolean {
    const step = { up: -1, k: -1, down: 1, j: 1, pageup: -this.#room, pagedown: this.#room, home: -1e9, end: 1e9 }[
      name
    ];
    if (step === undefined) return false;
    this.#top = Math.max(0, Math.min(this.#top + step, this.#count - this.#room));
    return true;
  }

  rows(width: number, height: number, nowMs: number): Row[] {
    const room = Math.max(1, width - 1);
    const body = [...this.#whyRows(room, nowMs), [], ...this.#treeRows(), [], ...this.#changeRows()];
    this.#room = Math.max(1, height - 2);
    this.#count = body.length;
    this.#top = Math.max(0, Math.min(this.#top, body.length - this.#room));
    const shown = body.slice(this.#top, this.#top + this.#room).map((row) => fitted([[' ', 'plain'], ...row], width));
    while (shown.length < this.#room) shown.push([]);
    const more = body.length > this.#room ? ' Up, Down scroll ·' : '';
    const foot = `${more} Esc closes · ${this.#foldWords(nowMs)}`;
    const head: Row = [[ruleTitle('statecharts', width), 'accent']];
    return [head, ...shown, [[cropped(foot, width), 'dim'] as Span]].slice(0, Math.max(1, height));
  }

  #foldWords(nowMs: number): string {
    const seq = this.#source.seq();
    if (seq !== this.#hash.seq) this.#hash = { seq, sinceMs: nowMs, text: '' };
    if (this.#hash.text === '' && nowMs - this.#hash.sinceMs >= STILL_MS) this.#hash.text = this.#source.hash();
    return `event ${seq} · state ${this.#hash.text.slice(0, 16) || '…'}`;
  }

  #whyRows(width: number, nowMs: number): Row[] {
    if (this.#why === null) return [[[cropped(clean(this.#said), width), 'dim']]];
    return whyRows(this.#why, nowMs).flatMap(([name, text]) =>
      wrap(clean(text), Math.max(8, width - 14)).map(
        (line, i): Row => [
          [(i === 0 ? name : '').padEnd(14), 'dim'],
          [line, name === 'waits for' ? 'bold' : 'plain'],
        ],
      ),
    );
  }

  #treeRows(): Row[] {
    if (this.#root === null) return [];
    return actorRows(this.#root).flatMap(({ actor, chart, state, tone, depth }) => {
      const indent = '  '.repeat(Math.min(depth, 8));
      const facts = FACTS.flatMap((name) => {
        const value = actor.facts[name];
        return value === undefined || value === null || value === 0 ? [] : [`${name} ${oneLine(String(value), 40)}`];
      });
      const head: Row = [
        [`${indent}${SIGNS[tone]} `, LOOKS[tone]],
        [clean(chart), 'bold'],
        [`  ${clean(state)}`, LOOKS[tone]],
        [clean(facts.length === 0 ? '' : `  ${facts.join(' · ')}`), 'dim'],
      ];
      const states = stateRows(actor.mermaid ?? '').map(
        ({ label, level, active }): Row => [
          [`${indent}    ${'  '.repeat(level)}${active ? '●' : '○'} ${clean(label)}`, active ? 'good' : 'dim'],
        ],
      );
      return [head, ...states];
    });
  }

  #changeRows(): Row[] {
    if (this.#changes.length === 0) return [];
    return [[['last changes', 'dim']], ...this.#changes.map((line): Row => [[line, 'plain']])];
  }

  async #follow(): Promise<void> {
    const { client, sessionId } = this.#source;
    try {
      for await (const message of client.feed('inspect.stream', { sessionId, signal: this.#end.signal })) {
        if (message.type === '@xstate.actor') this.#states.set(message.id, message.snapshot.value);
        if (message.type === '@xstate.snapshot') {
          const { id, event, snapshot, createdAt } = message;
          const words = changeWords(this.#states.get(id) ?? '', snapshot.value ?? '');
          if (words.includes('→')) this.#note(Number(createdAt), message.chart, event.type, words);
          this.#states.set(id, snapshot.value);
          if (snapshot.status !== 'active') this.#states.delete(id);
        }
        this.#soon();
      }
    } catch (cause) {
      this.#said = toOptaError(cause).message;
      this.#source.changed();
    }
  }

  #note(atMs: number, chart: string, event: string, words: string): void {
    const at = new Date(atMs).toISOString().slice(11, 23);
    this.#changes = [clean(oneLine(`${at}  ${chart}  ${words}  (${event})`, 200)), ...this.#changes].slice(
      0,
      CHANGES_MAX,
    );
  }

  #soon(): void {
    if (this.#looking) this.#again = true;
    else this.#timer ??= setTimeout(() => void this.#look(), LOOK_MS);
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#looking = true;
    try {
      const { client, sessionId } = this.#source;
      const [root, why] = await Promise.all([client.inspect(sessionId), client.why(sessionId)]);
      this.#root = root as InspectedActor;
      this.#why = why as Why;
    } catch (cause) {
      this.#said = toOptaError(cause).message;
    }
    this.#looking = false;
    if (this.#end.signal.aborted) return;
    this.#source.changed();
    if (!this.#again) return;
    this.#again = false;
    this.#soon();
  }
}
