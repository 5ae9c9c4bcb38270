import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { say } from '../e2e/world.ts';
import { Random } from '../sim/random.ts';
import {
  type Daemon,
  descendants,
  type From,
  newHome,
  processes,
  spawnDaemon,
  startDaemon,
  type TestSocket,
  turnBody,
  until,
} from '../support/daemon.ts';
import { type Directive, type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { KINDS, PLANS, type Plan, Trigger } from './plans.ts';
import type { TortureReport } from './report.ts';
import { type Counts, Subject } from './subject.ts';

/**
 * `kill -9` of the real daemon, round after round on one home. A round: start, attach the readers where they were cut, let
 * everything that was open come to its end, compare all that anybody ever saw with what is stored; then load the daemon with
 * two writers and kill it at the moment that the round's plan names.
 */
export interface TortureOptions {
  rounds: number;
  seed: number;
  from?: From;
  /** Default: all of them in turn. */
  plans?: readonly Plan[];
  onRound?: (line: string) => void;
}

const SUBJECTS = 3;
/** A session is replaced after so many rounds, so that each has been through several crashes and none grows without end. */
const SUBJECT_ROUNDS = 4;
const TRIGGER_MS = 4_000;
const SETTLE_MS = 30_000;
const SPARSE_BYTES = 60 * 2 ** 30;

export const torture = async (options: TortureOptions): Promise<TortureReport> => {
  const run = new Torture(options);
  try {
    return await run.run();
  } finally {
    await run.close();
  }
};

class Torture {
  readonly #options: TortureOptions;
  readonly #random: Random;
  readonly #home = newHome();
  readonly #workspace = mkdtempSync(join(tmpdir(), 'opta-torture-work-'));
  readonly #violations: string[] = [];
  readonly #subjects: Subject[] = [];
  readonly #retired: Subject[] = [];
  readonly #startMs: number[] = [];
  readonly #created: string[] = [];
  readonly #createTries: string[] = [];
  #lmx: FakeLmx | null = null;
  #daemon: Daemon | null = null;
  #draining = false;
  #serial = 0;
  #missed = 0;
  #toolProcesses = 0;
  #kills: { [plan: string]: number } = {};

  constructor(options: TortureOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async run(): Promise<TortureReport> {
    const startedAt = performance.now();
    this.#prepareWorkspace();
    // While things come to their end nothing asks, nothing runs tools and nothing takes its time; what is said stays the same.
    const reply = (): Directive => (this.#draining ? { tps: 0, delayMs: 0, rounds: 0 } : {});
    this.#lmx = await startFakeLmx({ reply });
    const plans = this.#options.plans ?? PLANS;
    let sum: Counts = { events: 0, interrupted: 0, withText: 0, resumed: 0 };
    try {
      for (let round = 0; round < this.#options.rounds && this.#violations.length === 0; round++) {
        const plan = plans[round % plans.length] as Plan;
        await this.#up();
        await this.#settle();
        await this.#rotate();
        await this.#load(plan);
        this.#options.onRound?.(`round ${round + 1} ${plan}: ${this.#violations.length} violations`);
      }
      await this.#up();
      sum = await this.#finish();
    } catch (cause) {
      // A daemon that does not come up or a turn that does not end is a finding like any other.
      this.#bad(`the run ended early: ${String(cause)}`);
    }
    return this.#report(sum, (performance.now() - startedAt) / 1_000);
  }

  async close(): Promise<void> {
    await this.#daemon?.dispose();
    await this.#lmx?.close();
    rmSync(this.#home, { recursive: true, force: true });
    rmSync(this.#workspace, { recursive: true, force: true });
  }

  #bad = (violation: string): void => {
    this.#violations.push(violation);
  };

  #prepareWorkspace(): void {
    mkdirSync(join(this.#workspace, 'notes'));
    // Sparse: it takes no room, and a search through it takes far longer than a round.
    const big = join(this.#workspace, 'big.bin');
    closeSync(openSync(big, 'w'));
    truncateSync(big, SPARSE_BYTES);
  }

  // --- start, and what the last life left behind

  async #up(): Promise<void> {
    const startedAt = performance.now();
    this.#draining = true;
    this.#daemon = await startDaemon({ home: this.#home, lmxPort: this.#port(), ...this.#from() });
    this.#startMs.push(performance.now() - startedAt);
    for (const subject of this.#subjects) await subject.attach(this.#daemon);
  }

  #port(): number {
    if (!this.#lmx) throw new Error('no inference server');
    this.#lmx.requests.length = 0;
    this.#lmx.cancels.length = 0;
    this.#lmx.paths.length = 0;
    return this.#lmx.port;
  }

  #from(): { from?: From } {
    return this.#options.from ? { from: this.#options.from } : {};
  }

  get #live(): Daemon {
    if (!this.#daemon) throw new Error('no daemon');
    return this.#daemon;
  }

  async #settle(): Promise<void> {
    const daemon = this.#live;
    for (const subject of this.#subjects) {
      await until(`the turns of ${subject.sessionId} to end`, () => subject.isQuiet(daemon), SETTLE_MS);
    }
    for (const subject of this.#subjects) await subject.verify(daemon);
    await this.#checkCreates(daemon);
    this.#checkEffects(await Promise.all(this.#subjects.map((s) => daemon.log(s.sessionId))));
  }

  /** A create that was answered is there; one that was not is there as a whole or not at all. */
  async #checkCreates(daemon: Daemon): Promise<void> {
    for (const sessionId of this.#createTries.splice(0)) {
      const acked = this.#created.includes(sessionId);
      const { status, json } = await daemon.get(`/v3/sessions/${sessionId}`);
      const log = await daemon.log(sessionId);
      if (acked && status !== 200) this.#bad(`EV5: the created session ${sessionId} is gone (${status})`);
      if ((status === 200) !== (log.length === 1) || (status === 200 && json.seq !== 1)) {
        this.#bad(`CR1: session ${sessionId} answers ${status} and has ${log.length} records`);
      }
    }
  }

  /** [PM4] A file that was written has its `tool.start` in the log: the permission came to disk before the effect did. */
  #checkEffects(logs: string[][]): void {
    const text = logs.flat().join('\n');
    for (const name of readdirSync(join(this.#workspace, 'notes'))) {
      if (!text.includes(`notes/${name}`)) continue;
      const started = logs.flat().some((t) => t.includes('"event":"tool.start"') && t.includes(`notes/${name}`));
      if (!started) this.#bad(`PM4: ${name} was written and nothing in the log allowed it`);
    }
  }

  async #rotate(): Promise<void> {
    for (let i = 0; i < this.#subjects.length; ) {
      const subject = this.#subjects[i] as Subject;
      subject.rounds += 1;
      if (subject.rounds < SUBJECT_ROUNDS + i) i++;
      else this.#retired.push(...this.#subjects.splice(i, 1));
    }
    while (this.#subjects.length < SUBJECTS) {
      const sessionId = await this.#live.create({ workspace: this.#workspace });
      const subject = new Subject(sessionId, this.#workspace, this.#bad);
      await subject.attach(this.#live);
      this.#subjects.push(subject);
    }
  }

  // --- load, and the kill

  async #load(plan: Plan): Promise<void> {
    const daemon = this.#live;
    this.#draining = false;
    for (const subject of this.#subjects) subject.underLoad = true;
    this.#kills[plan] = (this.#kills[plan] ?? 0) + 1;
    let kill: () => void = () => undefined;
    const triggered = new Promise<void>((resolve) => {
      kill = () => {
        daemon.process.signal('SIGKILL');
        resolve();
      };
    });
    const trigger = new Trigger(plan, this.#random.fork(), kill);
    const work = this.#subjects.map((subject) => this.#write(subject, plan, trigger));
    if (plan === 'create') work.push(this.#createMany(trigger));
    const late = setTimeout(() => {
      this.#missed += 1;
      kill();
    }, TRIGGER_MS);
    const below = plan === 'tool' ? this.#watchTools(daemon, () => daemon.alive) : Promise.resolve([]);
    await triggered;
    clearTimeout(late);
    trigger.over = true;
    await daemon.process.exited;
    await Promise.all(work);
    // What the kernel still held is read by the sockets before anything is compared.
    await Promise.all(this.#subjects.map((s) => s.reader?.closed));
    for (const subject of this.#subjects) subject.underLoad = false;
    const tools = await below;
    await until('the tool processes to die with their daemon', () => !processes().some((p) => tools.includes(p.pid)));
    await daemon.dispose();
    if (plan === 'boot') await this.#killBoot();
  }

  /** The ids of everything below the daemon, as seen last before it died. */
  async #watchTools(daemon: Daemon, alive: () => boolean): Promise<number[]> {
    const seen = new Set<number>();
    while (alive()) {
      for (const { pid } of descendants(daemon.pid)) seen.add(pid);
      await sleep(20);
    }
    this.#toolProcesses += seen.size;
    return [...seen];
  }

  /** Recovery itself is killed: while it reads, while it closes what was open, or just after. */
  async #killBoot(): Promise<void> {
    this.#draining = true;
    const typicalMs = Math.min(...this.#startMs);
    const process = spawnDaemon(this.#home, { lmxPort: this.#port(), ...this.#from() });
    await Promise.race([sleep(typicalMs * (0.4 + 0.7 * this.#random.next())), process.exited]);
    await process.end('SIGKILL');
  }

  #turn(plan: Plan, subject: Subject): string {
    const key = `t${++this.#serial}`;
    const kind = KINDS[plan] ?? this.#random.pick(['stream', 'flood', 'search', 'list', 'write'] as const);
    const words = Array.from({ length: this.#random.int(20, 200) }, (_, i) => `${key}.${i}`).join(' ');
    const before = `${key} looks first `;
    const tools: { [kind: string]: { name: string; args: object } } = {
      search: { name: 'search_files', args: { pattern: 'needle', path: 'big.bin' } },
      list: { name: 'list_dir', args: {} },
      write: { name: 'write_file', args: { path: `notes/${key}.txt`, content: key } },
    };
    const directive: Directive =
      kind === 'flood'
        ? { text: `${key} ${'x'.repeat(99)} `.repeat(2_000), tps: 0 }
        : kind === 'stream'
          ? { text: words, tps: this.#random.int(100, 900) }
          : { text: words, tps: 500, preText: before, tools: [tools[kind] as { name: string; args: object }] };
    const content = say(directive, key);
    subject.said.set(content, { before, text: directive.text as string });
    return content;
  }

  /** Two writers at once, one on a socket and one over HTTP; the reader decides what it is asked. */
  async #write(subject: Subject, plan: Plan, trigger: Trigger): Promise<void> {
    const daemon = this.#live;
    const reader = subject.reader as TestSocket;
    const socket = await subject.watch(daemon, subject.cursor);
    const seen = reader.onRecord;
    reader.onRecord = (record, text) => {
      seen?.(record, text);
      trigger.record(record.event);
      if (record.event === 'permission.request')
        void this.#decide(subject, reader, record.payload.requestId, plan, trigger);
    };
    const times = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
    const overWs = async (): Promise<void> => {
      for (const i of times(3)) {
        await sleep(this.#random.int(0, i * 15));
        const frame = {
          type: 'turn.submit',
          sessionId: subject.sessionId,
          ...turnBody({ content: this.#turn(plan, subject), writerId: 'ws' }),
        };
        const ack = await socket.ask(frame).catch(() => null);
        if (ack?.type === 'ack') this.#accepted(subject, ack as never, trigger);
      }
    };
    const overHttp = async (): Promise<void> => {
      for (const i of times(3)) {
        await sleep(this.#random.int(0, i * 15));
        const body = turnBody({ content: this.#turn(plan, subject), writerId: 'http' });
        const reply = await daemon.post(`/v3/sessions/${subject.sessionId}/turns`, body).catch(() => null);
        if (reply?.status !== 202) continue;
        this.#accepted(subject, reply.json, trigger);
        if (plan === 'cancel') await this.#cancel(subject, reply.json.turnId, trigger);
      }
    };
    await Promise.all([overWs(), overHttp()]);
  }

  #accepted(subject: Subject, ack: { turnId: string; seq: number }, trigger: Trigger): void {
    subject.submits.set(ack.turnId, { seq: ack.seq });
    trigger.record('ack');
  }

  async #cancel(subject: Subject, turnId: string, trigger: Trigger): Promise<void> {
    await sleep(this.#random.int(0, 60));
    const target = { turnId };
    const reply = await this.#live.post(`/v3/sessions/${subject.sessionId}/cancel`, target).catch(() => null);
    if (reply?.status !== 200) return;
    subject.cancels.push({ turnId, ack: reply.json });
    trigger.record('cancelled');
  }

  async #decide(subject: Subject, socket: TestSocket, requestId: string, plan: Plan, trigger: Trigger): Promise<void> {
    if (plan === 'permission') return;
    await sleep(this.#random.int(0, 10));
    const decision = this.#random.chance(0.7) ? 'allow' : 'deny';
    const frame = { type: 'permission.resolve', sessionId: subject.sessionId, requestId, decision, decidedBy: 'ana' };
    const ack = await socket.ask(frame).catch(() => null);
    if (ack?.result?.ok !== true) return;
    subject.decisions.push({ requestId, decision });
    trigger.record('decided');
  }

  async #createMany(trigger: Trigger): Promise<void> {
    const daemon = this.#live;
    const one = async (): Promise<void> => {
      const sessionId = `made-${++this.#serial}`;
      this.#createTries.push(sessionId);
      const reply = await daemon.post('/v3/sessions', { sessionId }).catch(() => null);
      if (reply?.status !== 201) return;
      this.#created.push(sessionId);
      trigger.record('created');
    };
    for (let i = 0; i < 6 && daemon.alive; i++) await Promise.all(Array.from({ length: 20 }, one));
  }

  // --- the end

  async #finish(): Promise<Counts> {
    await this.#settle();
    const all = [...this.#retired, ...this.#subjects];
    const sum: Counts = { events: 0, interrupted: 0, withText: 0, resumed: 0 };
    for (const subject of all) {
      const counts = await subject.verify(this.#live);
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += counts[name];
    }
    const { code } = await this.#live.stop();
    if (code !== 0) this.#bad(`the last daemon ended with ${code}`);
    if (existsSync(join(this.#home, 'daemon', 'state.json'))) this.#bad('the last daemon left its state file');
    return sum;
  }

  #report(sum: Counts, seconds: number): TortureReport {
    const all = [...this.#retired, ...this.#subjects];
    const count = (of: (s: Subject) => number): number => all.reduce((n, s) => n + of(s), 0);
    const starts = [...this.#startMs].sort((a, b) => a - b);
    return {
      rounds: Object.values(this.#kills).reduce((a, b) => a + b, 0),
      seed: this.#options.seed,
      violations: this.#violations,
      kills: this.#kills,
      missed: this.#missed,
      sessions: all.length,
      eventsStored: sum.events,
      framesSeenBeforeKills: count((s) => s.seenLive),
      submitsAcked: count((s) => s.submits.size),
      createsAcked: this.#created.length,
      cancelsAcked: count((s) => s.cancels.length),
      decisionsAcked: count((s) => s.decisions.length),
      interrupted: sum.interrupted,
      interruptedWithText: sum.withText,
      queuedResumed: sum.resumed,
      toolProcessesKilled: this.#toolProcesses,
      startMs: { p50: Math.round(starts[starts.length >> 1] ?? 0), max: Math.round(starts.at(-1) ?? 0) },
      seconds: Math.round(seconds * 10) / 10,
    };
  }
}
