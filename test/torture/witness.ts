import { setTimeout as sleep } from 'node:timers/promises';
import { checkedLog, endsOf, say, textOf } from '../e2e/world.ts';
import { type Daemon, type TestSocket, turnBody } from '../support/daemon.ts';

interface Watched {
  sessionId: string;
  reader: TestSocket;
}

/**
 * A well-behaved client, while others misbehave: it reads a stream that does not end, and again and again submits a turn, waits for
 * its end and reads its text. Nothing of it may be refused, lost, changed or out of order.
 */
export class Witness {
  turns = 0;
  readonly #daemon: Daemon;
  readonly #problems: string[] = [];
  readonly #texts = new Map<string, string>();
  #stream: (Watched & { turnId: string }) | null = null;
  #talk: Watched | null = null;
  #over = false;
  #working: Promise<void> = Promise.resolve();

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  async start(): Promise<void> {
    const [streaming, talking] = [await this.#daemon.create(), await this.#daemon.create()];
    const reader = await this.#daemon.socket(streaming);
    const { turnId } = await this.#daemon.submit(streaming, { content: say({ tokens: 1_000_000, tps: 40 }) });
    this.#stream = { sessionId: streaming, turnId, reader };
    this.#talk = { sessionId: talking, reader: await this.#daemon.socket(talking) };
    this.#working = this.#work(this.#talk);
  }

  async #work({ sessionId, reader }: Watched): Promise<void> {
    while (!this.#over) {
      const text = `answer ${this.turns}`;
      const turn = turnBody({ content: say({ text }) });
      try {
        const reply = await this.#daemon.post(`/v3/sessions/${sessionId}/turns`, turn, { timeoutMs: 60_000 });
        if (reply.status !== 202)
          throw new Error(`a submit was answered with ${reply.status}: ${reply.text.slice(0, 200)}`);
        const { turnId } = reply.json as { turnId: string };
        this.#texts.set(turnId, text);
        await reader.terminal(turnId, 60_000);
        this.turns += 1;
      } catch (cause) {
        this.#problems.push(`the witness: ${cause instanceof Error ? cause.message : String(cause)}`);
        return;
      }
      await sleep(100);
    }
  }

  /** Until it has done something since now: then the daemon has served it, whatever else it was doing. */
  async served(): Promise<string[]> {
    const [turns, frames] = [this.turns, this.#stream?.reader.frames.length ?? 0];
    const end = performance.now() + 60_000;
    while (this.turns === turns || this.#stream?.reader.frames.length === frames) {
      if (this.#problems.length > 0) return this.#problems;
      if (performance.now() > end) return ['the witness was not served for 60 s'];
      await sleep(10);
    }
    return this.#problems;
  }

  /** Ends it and compares what it saw with what is stored. */
  async finish(): Promise<string[]> {
    this.#over = true;
    await this.#working;
    const talk = this.#talk;
    if (!this.#stream || !talk) return ['the witness was never there'];
    const { sessionId, turnId, reader } = this.#stream;
    await this.#daemon.cancel(sessionId, { turnId });
    await reader.terminal(turnId, 60_000);
    for (const { sessionId: id, reader: seen } of [{ sessionId, reader }, talk]) {
      const stored = await this.#daemon.log(id);
      await seen.wait('the whole log', () => seen.frames.length >= stored.length);
      if (seen.frames.join('\n') !== stored.join('\n'))
        this.#problems.push('the witness saw other bytes than the log has');
      const { records, violations } = checkedLog(id, stored);
      this.#problems.push(...violations);
      if (id !== talk.sessionId) continue;
      for (const [turn, text] of this.#texts) {
        if (endsOf(records, turn).length !== 1 || textOf(records, turn) !== text)
          this.#problems.push(`the witness: ${turn} did not end with its text`);
      }
    }
    return this.#problems;
  }
}
