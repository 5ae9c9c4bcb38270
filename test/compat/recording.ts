import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, Client, Frame, RealDaemon } from './daemon.ts';
import { type DifferenceId, differs } from './differences.ts';
import { acksOf, compareStream, eventsOf, FIXED_IN_FRAMES, requestsOf } from './recording-frames.ts';
import { missingFrom } from './shape.ts';

/** One step of a recording: what a client sent (c2s), or what it was sent. */
export interface Step {
  i: number;
  dir: 'c2s' | 's2c' | 'note';
  channel?: 'http' | 'ws' | 'sse';
  client?: string;
  method?: string;
  path?: string;
  status?: number;
  headers?: { [name: string]: string };
  body?: unknown;
  frame?: Frame;
  event?: string;
  code?: number;
  note?: unknown;
}

/** A step whose answer deliberately differs, and our status there. A step that agrees after all makes the replay fail. */
export interface Accepted {
  step: number;
  why: DifferenceId;
  /** Absent for a frame. */
  status?: number;
  /** All that differs; without it anything may. */
  only?: string[];
}

/** What of the recording is otherwise here, as a change of its steps: frames that do not come, or come in another place. */
export interface Edit {
  why: DifferenceId;
  steps(steps: Step[]): Step[];
}

export interface Script {
  accepted?: readonly Accepted[];
  /** Fields of the sessions that the recording uses without creating them. */
  session?: object;
  /**
   * What happened beside the wire before a step: a server that fails, a process that is killed. `ours` is what an id of the
   * recording is here.
   */
  before?: { [step: number]: (ours: (id: string) => string) => void | Promise<void> };
  /** Each must be needed: a stream that agrees without one of them makes the replay fail. */
  edits?: readonly Edit[];
  /** Text of frames is compared without its spaces: the old daemon trimmed each piece of it. */
  trimmed?: boolean;
  /** What the recording calls otherwise than we do: a port in a message, a folder. */
  same?: readonly (readonly [theirs: string, ours: string])[];
}

/** Members of an HTTP answer whose values are part of the contract. */
const FIXED = new Set(
  'ok status daemon name error code role title model cancelled cancelledQueued cancelledActive queuedTurns'.split(' '),
);

const SETTLE_DEADLINE_MS = 8_000;

/**
 * Plays the client's side of a recording and compares what the daemon answers. A step is taken only when everything that the
 * recording had received before it has arrived here too, so nothing depends on the speed of the machine.
 */
export class Replay {
  readonly #daemon: RealDaemon;
  readonly #steps: readonly Placed[];
  readonly #recorded: readonly Step[];
  readonly #script: Script;
  readonly #accepted: ReadonlyMap<number, Accepted>;
  readonly #open = new Map<string, { client: Client; since: Placed }>();
  /** Ids of the recording and what they are here. */
  readonly #ids = new Map<string, string>();
  /** The last `seq` of a closed client, theirs and ours: reconnects name it. */
  readonly #cursors = new Map<number, number>();
  readonly #answered = new Set<number>();

  constructor(daemon: RealDaemon, steps: readonly Step[], script: Script) {
    this.#daemon = daemon;
    this.#recorded = steps;
    this.#steps = placed(edited(steps, script.edits ?? []));
    this.#script = script;
    this.#accepted = new Map(script.accepted?.map((a) => [a.step, a]));
    for (const [theirs, ours] of script.same ?? []) this.#ids.set(theirs, ours);
  }

  /** The number of answers and streams that were compared. Throws at the first one that does not agree. */
  async run(): Promise<number> {
    await this.#createWhatWasThere();
    let compared = 0;
    for (const step of this.#steps) {
      await this.#happen(step);
      if (step.dir === 'note') await this.#note(step);
      if (step.dir === 'note' || (step.dir === 's2c' && step.event !== 'close')) continue;
      await this.#caughtUp(step);
      if (step.dir === 's2c') compared += await this.#close(step);
      else if (step.channel === 'http') compared += await this.#exchange(step);
      else if (step.channel === 'sse') compared += await this.#stream(step);
      else if (step.event === 'connect') await this.#connect(step);
      else this.#clientOf(step).send(this.#ours(step.frame) as object);
    }
    return compared;
  }

  /** Also before a frame that was received: what happened may be its cause. */
  async #happen(step: Placed): Promise<void> {
    const happened = this.#script.before?.[step.i];
    if (!happened) return;
    await this.#caughtUp(step);
    await happened((id) => this.#renamed(id));
  }

  /** Sessions that the recording uses without creating them. */
  async #createWhatWasThere(): Promise<void> {
    const sent = this.#steps.filter((s) => s.dir === 'c2s');
    const creating = sent.filter((s) => s.path === '/v3/sessions');
    const created = new Set(creating.map((s) => (s.body as { sessionId?: string } | null | undefined)?.sessionId));
    for (const step of sent) {
      const id = /sessions\/([^/?]+)|sessionId=([^&]+)/
        .exec(step.path ?? '')
        ?.slice(1)
        .find(Boolean);
      if (id === undefined || created.has(id)) continue;
      created.add(id);
      if (this.#answerTo(step)?.status !== 404)
        await this.#daemon.post('/v3/sessions', { sessionId: id, ...this.#script.session });
    }
  }

  #answerTo(step: Placed): Placed | undefined {
    const fits = (s: Placed) =>
      s.at > step.at && s.dir === 's2c' && s.method === step.method && s.path === step.path && !this.#answered.has(s.i);
    return step.channel === 'http' ? this.#steps.find(fits) : undefined;
  }

  async #exchange(step: Placed): Promise<number> {
    const recorded = this.#answerTo(step);
    if (!recorded) throw new Error(`step ${step.i} has no answer in the recording`);
    this.#answered.add(recorded.i);
    const ask = () =>
      this.#daemon.ask({
        method: step.method as string,
        path: this.#renamed(step.path as string),
        headers: step.headers ?? {},
        ...(step.body === undefined ? {} : { body: this.#ours(step.body) }),
      });
    const accepted = this.#accepted.get(recorded.i);
    const end = Date.now() + SETTLE_DEADLINE_MS;
    for (;;) {
      const answer = await ask();
      const problems = this.#problems(recorded, answer);
      this.#learn(recorded.body, answer.body);
      if (accepted) return this.#deviated(recorded, answer, problems, accepted);
      if (problems.length === 0) return 1;
      // A turn may still be on its way; reading again changes nothing.
      if (step.method !== 'GET' || Date.now() > end) throw new Error(told(recorded, answer, problems));
      await sleep(20);
    }
  }

  #problems(recorded: Step, answer: Answer): string[] {
    const status = answer.status === recorded.status ? [] : [`status: was ${recorded.status}, is ${answer.status}`];
    const type = answer.headers['content-type'] === recorded.headers?.['content-type'] ? [] : ['content-type differs'];
    const [was, is] = [eventsOf(recorded.body), eventsOf(answer.body)];
    const theirs = this.#script.same ? this.#ours(recorded.body) : recorded.body;
    const body = was && is ? this.#compare(was, is, 'stored') : missingFrom(theirs, answer.body, FIXED);
    return [...status, ...type, ...etagOf(recorded, answer), ...body];
  }

  #deviated(recorded: Step, answer: Answer, problems: string[], accepted: Accepted): number {
    if (problems.length === 0) throw new Error(`step ${recorded.i} agrees by now: "${accepted.why}" is out of date`);
    const { status, only, why } = accepted;
    if (answer.status !== status || (only && only.join() !== problems.join()))
      throw new Error(told(recorded, answer, problems));
    differs(why);
    return 1;
  }

  /** A note may hold the answer to a frame, for the socket that is open then. */
  async #note(step: Step): Promise<void> {
    const was = (step.note as { wsAnswer?: Frame } | undefined)?.wsAnswer;
    const client = [...this.#open.values()].at(-1)?.client;
    if (!was || !client) return;
    const now = await client.frame((f) => f.event === undefined, 'an answer');
    const problems = missingFrom(was, now, FIXED_IN_FRAMES);
    const accepted = this.#accepted.get(step.i);
    if (accepted && problems.length === 0) throw new Error(`note ${step.i} agrees by now: ${accepted.why}`);
    if (!accepted && problems.length > 0) throw new Error(`note ${step.i}: ${problems.join('; ')}`);
    if (accepted) differs(accepted.why);
  }

  #compare(theirs: readonly Frame[], ours: readonly Frame[], kind: 'live' | 'stored'): string[] {
    return compareStream(theirs, ours, kind, this.#script.trimmed ?? false);
  }

  /** An event stream over HTTP: its head, and every message that the recording had. */
  async #stream(step: Placed): Promise<number> {
    const answers = this.#steps.filter((s) => s.at > step.at && s.dir === 's2c' && s.client === step.client);
    const head = answers.find((s) => s.status !== undefined);
    const recorded = answers.flatMap((s) => (s.frame ? [(s.frame as { data?: unknown }).data] : []));
    if (!head || recorded.length === 0) throw new Error(`step ${step.i} has no answer in the recording`);
    const stream = await this.#daemon.listen({ path: step.path as string, headers: step.headers ?? {} });
    try {
      const names = ['content-type', 'cache-control', 'x-accel-buffering'];
      const differing = names.filter((name) => stream.headers[name] !== head.headers?.[name]);
      if (stream.status !== head.status || differing.length > 0) {
        throw new Error(`step ${step.i}: ${stream.status}, differing ${differing.join()}`);
      }
      const end = Date.now() + SETTLE_DEADLINE_MS;
      while (stream.messages().length < recorded.length && Date.now() < end) await sleep(5);
      const problems = recorded.flatMap((was, n) =>
        missingFrom(was, stream.messages()[n] ?? null, FIXED, `message ${n}`),
      );
      if (problems.length > 0) throw new Error(`step ${step.i}: ${problems.join('; ')}\n${stream.text()}`);
    } finally {
      stream.close();
    }
    return 1;
  }

  async #connect(step: Placed): Promise<void> {
    const path = (step.path as string).replace(
      /afterSeq=(\d+)/,
      (_, seq: string) => `afterSeq=${this.#cursors.get(Number(seq)) ?? seq}`,
    );
    this.#open.set(step.client as string, { client: await this.#daemon.connect(path), since: step });
  }

  async #close(step: Placed): Promise<number> {
    const name = step.client as string;
    const { client, since } = this.#open.get(name) as { client: Client; since: Placed };
    if (step.code === 1006) await client.cut();
    else await client.close();
    if (client.closed?.code !== step.code) throw new Error(`closed with ${client.closed?.code}, was ${step.code}`);
    const theirs = this.#received(name, since, step).findLast((f) => f.seq !== undefined)?.seq;
    const ours = client.frames.findLast((f) => f.seq !== undefined && f.event)?.seq;
    if (theirs !== undefined && ours !== undefined) this.#cursors.set(theirs, ours);
    this.#needEdits(name, since.i, step.i, client.frames);
    this.#open.delete(name);
    return 1;
  }

  /** Without any one of the edits that touch this client's stream, the stream must not agree. */
  #needEdits(name: string, from: number, to: number, ours: readonly Frame[]): void {
    const edits = this.#script.edits ?? [];
    const frames = (list: readonly Edit[]): Frame[] => {
      const steps = placed(edited(this.#recorded, list));
      const at = (i: number, otherwise: number) => steps.find((s) => s.i === i)?.at ?? otherwise;
      return framesOf(steps, name, at(from, -1), at(to, steps.length));
    };
    const all = JSON.stringify(frames(edits));
    for (const edit of edits) {
      const without = frames(edits.filter((other) => other !== edit));
      if (JSON.stringify(without) === all) continue;
      if (this.#compare(without, ours, 'live').length === 0)
        throw new Error(`${name} agrees by now: "${edit.why}" is out of date`);
      differs(edit.why);
    }
  }

  #received(name: string, since: Placed, before: Placed): Frame[] {
    return framesOf(this.#steps, name, since.at, before.at);
  }

  async #caughtUp(before: Placed): Promise<void> {
    for (const [name, { client, since }] of this.#open) {
      const recorded = this.#received(name, since, before);
      const end = Date.now() + SETTLE_DEADLINE_MS;
      for (;;) {
        const problems = this.#compare(recorded, client.frames, 'live');
        if (problems.length === 0) break;
        if (Date.now() > end) {
          throw new Error(`before step ${before.i}, ${name}: ${problems.join('; ')}\n${client.texts.join('\n')}`);
        }
        await sleep(5);
      }
      acksOf(recorded).forEach((ack, i) => {
        this.#learn(ack, acksOf(client.frames)[i]);
      });
      const asked = requestsOf(client.frames);
      for (const [i, id] of requestsOf(recorded).entries()) this.#ids.set(id, asked[i] as string);
    }
  }

  #learn(theirs: unknown, ours: unknown): void {
    const idsOf = (o: unknown) => {
      const { turnId, process } = (o ?? {}) as { turnId?: unknown; process?: { processId?: unknown } };
      return [turnId, process?.processId];
    };
    const now = idsOf(ours);
    for (const [i, was] of idsOf(theirs).entries()) {
      const is = now[i];
      if (typeof was === 'string' && typeof is === 'string') this.#ids.set(was, is);
    }
  }

  #clientOf(step: Step): Client {
    const open = this.#open.get(step.client as string);
    if (!open) throw new Error(`step ${step.i}: ${step.client} is not connected`);
    return open.client;
  }

  #renamed(text: string): string {
    let renamed = text;
    for (const [theirs, ours] of this.#ids) renamed = renamed.replaceAll(theirs, ours);
    return renamed;
  }

  /** What the recording sent, with our ids in it. */
  #ours(sent: unknown): unknown {
    if (typeof sent === 'string') return this.#renamed(sent);
    if (typeof sent !== 'object' || sent === null || Array.isArray(sent)) return sent;
    return Object.fromEntries(Object.entries(sent).map(([key, value]) => [key, this.#ours(value)]));
  }
}

/** A step and its place: an edit may take others away or move them. */
type Placed = Step & { at: number };

const placed = (steps: readonly Step[]): Placed[] => steps.map((step, at) => ({ ...step, at }));
const edited = (steps: readonly Step[], edits: readonly Edit[]): Step[] =>
  edits.reduce((played, edit) => edit.steps(played), [...steps]);

const framesOf = (steps: readonly Placed[], name: string, after: number, before: number): Frame[] =>
  steps.flatMap((s) =>
    s.dir === 's2c' && s.client === name && s.at > after && s.at < before && s.frame ? [s.frame] : [],
  );

const etagOf = (recorded: Step, answer: Answer): string[] =>
  recorded.headers?.etag === undefined || recorded.headers.etag === answer.headers.etag
    ? []
    : [`etag: was ${recorded.headers.etag}, is ${answer.headers.etag}`];

const told = (recorded: Step, answer: Answer, problems: string[]): string =>
  `${recorded.method} ${recorded.path} (step ${recorded.i}): ${problems.join('; ')}\n  is ${answer.status} ${answer.text}`;
