import type { Clock, ProcessEvents, Processes, ProcessRun } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import type { Life } from './clock.ts';
import type { Random } from './random.ts';

/**
 * The system's processes, which outlive a daemon. A command is `job` and what it does: `ms=30` its life (for ever without),
 * `code=1`, `out=5` pieces of output of `size=20` characters, `deaf` to a polite signal, `lost`: its forced end is told to nobody.
 * Any other name is no program.
 */
export interface FakeProcess {
  processId: string;
  pid: number;
  identity: string;
  /** The daemon that started it. */
  life: Life;
  /** It has become the command. */
  went: boolean;
  /** Told to end, and not dead yet. */
  dying: boolean;
}

export class ProcessTable {
  readonly alive = new Map<string, FakeProcess>();
  /** Everything that each process wrote, by process and stream. */
  readonly written = new Map<string, string>();
  readonly lost = new Set<string>();
  /** How often somebody stopped reading. */
  pauses = 0;
  #pids = 1_000;

  /** The port of one daemon. `onGo` is asked when a command begins. */
  mount(life: Life, clock: Clock, random: Random, onGo: (run: ProcessRun) => void): Processes {
    return {
      home: '/home/sim',
      shell: ['sh', '-c'],
      confine: () => true,
      start: (run, on) => this.#start(life, clock, random.fork(), run, on, onGo),
      reap: ({ processId, identity }) =>
        clock.soon(() => {
          if (this.alive.get(processId)?.identity === identity) this.alive.delete(processId);
        }),
    };
  }

  /** The daemon died: what begins only with its word ends, most guards do their work, and some processes have left their group. */
  orphan(random: Random, power: boolean): void {
    for (const [id, p] of this.alive) if (power || !p.went || random.chance(0.7)) this.alive.delete(id);
  }

  #start(
    life: Life,
    clock: Clock,
    random: Random,
    run: ProcessRun,
    on: ProcessEvents,
    onGo: (run: ProcessRun) => void,
  ) {
    const { processId, argv } = run;
    const option = (name: string, otherwise: number): number =>
      Number(argv.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? otherwise);
    let listener: ProcessEvents | null = on;
    let paused = false;
    const held: [stream: 'stdout' | 'stderr', text: string][] = [];
    let end: { exitCode: number | null; signal: string | null } | null = null;

    const flush = (): void => {
      if (paused) return;
      for (const [stream, text] of held.splice(0)) listener?.output(stream, text);
      const told = end;
      if (!told) return;
      end = null;
      listener?.gone(told);
      listener = null;
    };
    const die = (exitCode: number | null, signal: string | null): void => {
      if (!this.alive.delete(processId)) return;
      end = { exitCode, signal };
      flush();
    };
    const say = (stream: 'stdout' | 'stderr', text: string): void => {
      if (!this.alive.has(processId)) return;
      const key = `${processId} ${stream}`;
      this.written.set(key, (this.written.get(key) ?? '') + text);
      held.push([stream, text]);
      flush();
    };
    const kill = (signal: string): void => {
      const p = this.alive.get(processId);
      if (!p || (argv.includes('deaf') && signal !== 'SIGKILL')) return;
      p.dying = true;
      if (argv.includes('lost') && signal === 'SIGKILL') {
        this.lost.add(processId);
        clock.setTimeout(() => this.alive.delete(processId), 1);
      } else clock.setTimeout(() => die(null, signal), random.int(0, 20));
    };

    clock.setTimeout(
      () => {
        if (!listener) return;
        if (argv[0] !== 'job') {
          return listener.failed(new OptaError('background-failed', `Background process failed to start: ${argv[0]}`));
        }
        const pid = ++this.#pids;
        const identity = `boot:${pid}`;
        this.alive.set(processId, { processId, pid, identity, life, went: false, dying: false });
        listener.spawned({ pid, identity });
      },
      random.int(0, 5),
    );

    return {
      go: () => {
        const p = this.alive.get(processId);
        if (!p) return;
        p.went = true;
        onGo(run);
        const ms = option('ms', -1);
        const pieces = option('out', 0);
        for (let i = 0; i < pieces; i++) {
          const at = ms < 0 ? i : Math.floor((ms * i) / pieces);
          const text = `${i}:`.padEnd(option('size', 8), String(i % 10));
          clock.setTimeout(() => say(random.chance(0.7) ? 'stdout' : 'stderr', text), at);
        }
        if (ms >= 0) clock.setTimeout(() => die(option('code', 0), null), ms + 1);
      },
      signal: (name: string) => kill(name),
      pause: () => {
        paused = true;
        this.pauses += 1;
      },
      resume: () => {
        paused = false;
        flush();
      },
      drop: () => {
        listener = null;
        const p = this.alive.get(processId);
        if (!p) return;
        p.dying = true;
        clock.setTimeout(() => this.alive.delete(processId), random.int(0, 5));
      },
    };
  }
}
