import type { PermissionRule } from '../../src/actors/domain/permission-policy.ts';
import type { Limits } from '../../src/actors/limits.ts';
import type { Briefing, Inference, InferenceRequest, Reader, Tools } from '../../src/actors/ports.ts';
import { createSystem, type System } from '../../src/actors/system.ts';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { SubmitTurnSchema } from '../../src/protocol/turn.ts';
import { VirtualClock } from '../sim/clock.ts';
import { type Faults, SimDisk } from '../sim/disk.ts';
import { ProcessTable } from '../sim/fake-processes.ts';
import { Random } from '../sim/random.ts';
import { SIM_LIMITS } from '../sim/world.ts';

/**
 * The real system on a virtual clock, with a model that does what the prompt says: `hang`, `say TEXT`, `call NAME…`, `again NAME…` (in every step), `fail CODE`,
 * `poison` (the plan of its call throws).
 */
export class Harness {
  readonly clock = new VirtualClock();
  readonly disk = new SimDisk(this.clock.for({ alive: true }));
  readonly faults: Faults = { failing: 0, landed: 0, full: false, slow: 0 };
  readonly ran: string[] = [];
  readonly killed: string[] = [];
  /** The user's; read when a daemon boots. */
  readonly rules: PermissionRule[] = [];
  /** Background processes, and those whose command has begun. */
  readonly table = new ProcessTable();
  readonly began: string[] = [];
  /** What the model was asked, newest last. */
  readonly requests: InferenceRequest[] = [];
  /** A longer conversation is refused as too long for the model. */
  messageCharsMax = Number.POSITIVE_INFINITY;
  readonly #briefing: Briefing | undefined;
  system: System;
  #ids = 0;

  constructor(limits: Partial<Limits> = {}, briefing?: Briefing) {
    this.#briefing = briefing;
    this.system = this.boot(limits);
  }

  boot(limits: Partial<Limits> = {}): System {
    const life = { alive: true };
    const clock = this.clock.for(life);
    const random = new Random(7);
    const inference: Inference = {
      stream: (request, on) => {
        this.requests.push(request);
        const content =
          request.messages.findLast((m) => m.role === 'user' && !m.content.startsWith('[Note]'))?.content ?? '';
        const [verb, ...rest] = content.split(' ');
        let over = false;
        clock.setTimeout(() => {
          if (over || verb === 'hang') return;
          const answered = request.messages.at(-1)?.role === 'tool';
          if (JSON.stringify(request.messages).length > this.messageCharsMax)
            return on.fail(new OptaError('lmx-request-rejected', 'no', { serverCode: 'context_length_exceeded' }));
          if (verb === 'fail') return on.fail(new OptaError(rest[0] as 'lmx-busy', 'scripted failure'));
          on.accepted({ model: 'm', provider: 'p' });
          if (((verb === 'call' || verb === 'poison') && !answered) || verb === 'again') {
            const calls = rest.map((name, i) => ({
              id: verb === 'again' ? '' : `c${i}`,
              name,
              args: verb === 'poison' ? 'poison' : '{"path":"f"}',
            }));
            return on.end({ finishReason: 'tool_calls', calls });
          }
          on.text(rest.join(' ') || 'ok');
          on.end({ finishReason: 'stop', calls: [] });
        }, 5);
        return {
          cancel: () => {
            over = true;
          },
          pause: () => undefined,
          resume: () => undefined,
        };
      },
    };
    const tools: Tools = {
      offered: () => [],
      plan: (name, args) => {
        if (args === 'poison') throw new Error('poisoned plan');
        if (name === 'ask') {
          const question = { text: 'which?', options: ['this', 'that'] };
          return { toolClass: 'question', summary: 'Ask: which?', args: { question: 'which?' }, question };
        }
        return { toolClass: name.startsWith('read') ? 'read' : 'write', summary: name, args: { path: 'f' } };
      },
      start: (run, done) => {
        this.ran.push(run.name);
        const timer = run.name.endsWith('slow')
          ? null
          : clock.setTimeout(() => done({ result: 'r', isError: false }), 3);
        return {
          kill: (dead) => {
            this.killed.push(run.name);
            clock.clearTimeout(timer);
            clock.setTimeout(dead, 2);
          },
        };
      },
    };
    this.system = createSystem({
      daemonId: 'daemon_t',
      clock,
      ids: {
        turn: () => `t${++this.#ids}`,
        session: () => `g${++this.#ids}`,
        request: () => `r${++this.#ids}`,
        process: () => `p${++this.#ids}`,
      },
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      limits: { ...SIM_LIMITS, ...limits },
      store: this.disk.mount(
        clock,
        random,
        this.faults,
        () => undefined,
        (violation) => {
          throw new Error(violation);
        },
      ),
      inference,
      tools,
      processes: this.table.mount(life, clock, random, (run) => this.began.push(run.processId)),
      rules: this.rules,
      ...(this.#briefing ? { briefing: this.#briefing } : {}),
      permissionDeadlineMs: 200,
      defaultModel: 'm',
    });
    this.system.start(() => undefined);
    this.run(20);
    return this.system;
  }

  /** Virtual milliseconds pass. */
  run(ms: number): void {
    const until = this.clock.time + ms;
    for (;;) {
      const next = this.clock.nextAt();
      if (this.clock.idle && (next === null || next > until)) break;
      if (!this.clock.step()) break;
    }
    this.clock.time = Math.max(this.clock.time, until);
  }

  create(sessionId: string): void {
    this.system.create({ sessionId: sessionId as never }, () => undefined);
    this.run(20);
  }

  submit(sessionId: string, content: string, more: object = {}): { answer: unknown } {
    const out: { answer: unknown } = { answer: 'none' };
    const input = SubmitTurnSchema.parse({ clientId: 'c', writerId: 'w', content, mode: 'do', ...more });
    this.system.submit(sessionId, input, (error, value) => {
      out.answer = error ? error.code : value;
    });
    return out;
  }

  cancel(sessionId: string, target: object): { answer: unknown } {
    const out: { answer: unknown } = { answer: 'none' };
    this.system.cancel(sessionId, target, (error, value) => {
      out.answer = error ? error.code : value;
    });
    return out;
  }

  attach(sessionId: string): { frames: string[]; attachment: ReturnType<System['attach']> } {
    const frames: string[] = [];
    const reader: Reader = {
      send: (f) => frames.push(f),
      bufferedBytes: () => 0,
      warn: () => undefined,
      close: () => undefined,
    };
    return { frames, attachment: this.system.attach(sessionId, 0, reader) };
  }

  log(sessionId: string): LogRecord[] {
    return this.disk.records(sessionId).map((r) => decodeEnvelope(r.text).record);
  }

  events(sessionId: string): string[] {
    return this.log(sessionId).map((r) => r.event);
  }

  ends(sessionId: string): [content: string, outcome: string][] {
    const contents = new Map(
      this.log(sessionId).flatMap((r) =>
        r.event === 'turn.queued' ? [[r.payload.turnId, r.payload.content] as const] : [],
      ),
    );
    return this.log(sessionId).flatMap((r) =>
      r.event === 'turn.done' || r.event === 'turn.error'
        ? [[contents.get(r.payload.turnId) ?? '', r.payload.outcome] as [string, string]]
        : [],
    );
  }
}
