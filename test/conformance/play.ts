import { randomBytes } from 'node:crypto';
import type { HttpStep, SendStep, Step, Vector } from './format.ts';
import { type Captures, filled, type Json, matches } from './matcher.ts';
import { callHttp, type HttpAnswer, headersFor, membersOf, type Place, type TokenName, Wire } from './wire.ts';

/** The daemon under test, as a vector may use it. */
export interface Subject {
  /** Asked for at each request: a restart changes it. */
  place(): Place;
  /** A folder that tools may write to, on the daemon's machine. */
  workspace: string;
  /** `kill -9` and a start on the same home. Absent: such vectors are left out. */
  restart?(): Promise<void>;
}

/** Plays one vector. Throws with the step's number and what was seen in place of what the vector wants. */
export const play = async (vector: Vector, subject: Subject): Promise<void> => {
  const stage = new Stage(subject);
  try {
    for (const [i, step] of vector.steps.entries()) {
      try {
        await stage.run(step);
        stage.check();
      } catch (cause) {
        throw new Error(`step ${i + 1} (${verbOf(step)}): ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    }
  } finally {
    stage.end();
  }
};

const verbOf = (step: Step): string => {
  const [verb, what] = Object.entries(step)[0] as [string, unknown];
  return `${verb} ${typeof what === 'string' ? what : ''}`.trim();
};

const shown = (value: Json | undefined): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
};

type Asked = Omit<HttpStep, 'status' | 'answer'> | Omit<SendStep, 'answer'>;

class Stage {
  readonly #subject: Subject;
  readonly #captures: Captures;
  readonly #wires = new Map<string, Wire>();

  constructor(subject: Subject) {
    this.#subject = subject;
    const fresh = (): string => `conf-${randomBytes(8).toString('hex')}`;
    this.#captures = new Map<string, Json>([
      ['session', fresh()],
      ['other', fresh()],
      ['key', fresh()],
      ['workspace', subject.workspace],
    ]);
  }

  /** What sockets saw that no daemon may do, whichever step was running. */
  check(): void {
    for (const [name, wire] of this.#wires) if (wire.problem !== null) throw new Error(`${name}: ${wire.problem}`);
  }

  end(): void {
    for (const wire of this.#wires.values()) wire.end();
  }

  run(step: Step): Promise<void> | void {
    if ('http' in step) return this.#http(step);
    if ('send' in step) return this.#send(step);
    if ('open' in step) return this.#open(step);
    if ('event' in step) return this.#event(step);
    if ('frame' in step) return this.#frame(step);
    if ('closed' in step) return this.#closed(step);
    if ('close' in step) return this.#wire(step.close).close();
    if ('log' in step) return this.#log(step);
    if ('bytes' in step) return this.#bytes(step);
    if ('together' in step) return this.#together(step);
    return this.#restart();
  }

  // --- HTTP and frames

  async #http(step: HttpStep): Promise<void> {
    const got = await this.#call(step);
    if (got.status !== step.status) throw new Error(`status ${got.status} in place of ${step.status}: ${got.text}`);
    if (step.answer !== undefined) this.#expect(step.answer, got.body, 'the answer');
    if (step.answerHeaders !== undefined) this.#expect(step.answerHeaders, got.headers, 'the headers');
  }

  #call({ http, token, headers, body }: Omit<HttpStep, 'status'>): Promise<HttpAnswer> {
    const place = this.#subject.place();
    const [method, path] = this.#text(http).split(' ', 2) as [string, string];
    const given = this.#fill(headers ?? {}) as { [name: string]: string };
    return callHttp(place, {
      method,
      path,
      headers: { ...headersFor(place, token), ...given },
      ...(body === undefined ? {} : { body: this.#fill(body) }),
    });
  }

  async #send({ send, frame, answer }: SendStep): Promise<void> {
    this.#expect(answer, await this.#wire(send).ask(this.#fill(frame) as { [name: string]: Json }), 'the answer');
  }

  async #together({ together, one, others }: Extract<Step, { together: unknown }>): Promise<void> {
    const ask = async (asked: Asked): Promise<Json | undefined> =>
      'http' in asked
        ? (await this.#call(asked)).body
        : this.#wire(asked.send).ask(this.#fill(asked.frame) as { [name: string]: Json });
    const answers = await Promise.all(together.map(ask));
    const won = answers.filter((answer) => matches(one, answer, this.#captures));
    const rest = answers.filter((answer) => !won.includes(answer));
    if (won.length !== 1) throw new Error(`${won.length} answers are as one alone may be: ${shown(answers as Json)}`);
    for (const answer of rest) this.#expect(others, answer, 'another answer');
  }

  // --- sockets

  async #open({ open, token, query }: Extract<Step, { open: string }>): Promise<void> {
    const place = this.#subject.place();
    const given = this.#fill(query) as { [name: string]: string | number };
    const search = new URLSearchParams(Object.entries(given).map(([name, v]): [string, string] => [name, String(v)]));
    const url = `${place.url.replace(/^http/, 'ws')}/v3/ws?${search}`;
    const wire = new Wire(url, headersFor(place, token as TokenName | undefined), Number(given.afterSeq ?? 0));
    this.#wires.get(open)?.end();
    this.#wires.set(open, wire);
    await wire.opened;
  }

  async #event({ event, is, without }: Extract<Step, { event: string }>): Promise<void> {
    const wire = this.#wire(event);
    let passed: string | null = null;
    await wire.until(`an event like ${shown(is)}`, () => {
      while (wire.eventsRead < wire.events.length) {
        const { json } = wire.events[wire.eventsRead++] as { json: Json };
        if (matches(is, json, this.#captures)) return true;
        if (without === undefined || !matches(without, json, this.#captures)) continue;
        passed = shown(json);
        return true;
      }
      return false;
    });
    if (passed !== null) throw new Error(`before it came ${passed}`);
  }

  async #frame({ frame, is }: Extract<Step, { frame: string }>): Promise<void> {
    const wire = this.#wire(frame);
    await wire.until(`a frame like ${shown(is)}`, () => {
      while (wire.framesRead < wire.frames.length) {
        if (matches(is, wire.frames[wire.framesRead++]?.json, this.#captures)) return true;
      }
      return false;
    });
  }

  async #closed({ closed, code }: Extract<Step, { closed: string }>): Promise<void> {
    const wire = this.#wire(closed);
    await wire.until('the close', () => wire.closeCode !== null);
    if (wire.closeCode !== code) throw new Error(`closed with ${wire.closeCode} in place of ${code}`);
  }

  // --- the log

  async #log({ log, where, are }: Extract<Step, { log: string }>): Promise<void> {
    const events = (await this.#stored(this.#text(log))).map((text) => JSON.parse(text) as Json);
    const picked = where === undefined ? events : events.filter((event) => matches(where, event, this.#captures));
    this.#expect(are, picked, 'the log');
  }

  async #bytes({ bytes, session, afterSeq }: Extract<Step, { bytes: string[] }>): Promise<void> {
    const from = Number(this.#fill(afterSeq ?? 0));
    const stored = (await this.#stored(this.#text(session))).slice(from);
    for (const name of bytes) {
      const wire = this.#wire(name);
      await wire.until(`event ${from + stored.length}`, () => wire.events.length >= stored.length);
      const at = stored.findIndex((text, i) => text !== wire.events[i]?.text);
      if (at >= 0) throw new Error(`${name}: seq ${from + at + 1} has other bytes than the log`);
    }
  }

  /** The whole log, each event as the text that the answer had. */
  async #stored(sessionId: string): Promise<string[]> {
    const texts: string[] = [];
    for (;;) {
      const http = `GET /v3/sessions/${sessionId}/events?afterSeq=${texts.length}`;
      const { status, text, body } = await this.#call({ http });
      if (status !== 200) throw new Error(`the log is answered with ${status}: ${text.slice(0, 300)}`);
      texts.push(...membersOf(text, 'events'));
      if ((body as { more?: boolean }).more !== true) return texts;
    }
  }

  async #restart(): Promise<void> {
    if (!this.#subject.restart) throw new Error('this daemon cannot be restarted from here');
    this.end();
    this.#wires.clear();
    await this.#subject.restart();
  }

  // --- small things

  #wire(name: string): Wire {
    const wire = this.#wires.get(name);
    if (!wire) throw new Error(`there is no socket ${name}`);
    return wire;
  }

  #fill(template: Json): Json {
    return filled(template, this.#captures);
  }

  #text(template: string): string {
    return String(this.#fill(template));
  }

  #expect(pattern: Json, value: Json | undefined, what: string): void {
    if (!matches(pattern, value, this.#captures)) {
      throw new Error(`${what} is ${shown(value)} and not like ${shown(pattern)}`);
    }
  }
}
