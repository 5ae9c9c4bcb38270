import type { Clock, ProcessEvents, Processes, ProcessHandle, ProcessRun } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import type { Life } from './clock.ts';
import type { Random } from './random.ts';

/**
 * The system's processes, which outlive a daemon. A command is `job` and what it does: `ms=30` its life (for ever without),
 * `code=1`, `out=5` pieces of output of `size=20` characters, `deaf` to a polite signal, `lost`: its forced end is told to nobody.
 * Any other name is no program.
 */
export interface FakeProcess {
  /** It outlives its daemon. */
  kept: boolean;
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
  /** Kept ones whose daemon died: what it had read and not recorded is gone. */
  readonly bereft = new Set<string>();
  /** Kept ones that nobody reads: they were left, as they should be. */
  readonly #parted = new Set<string>();
  /** What no daemon may do to a process. */
  readonly violations: string[] = [];
  /** How often somebody stopped reading. */
  pauses = 0;
  #pids = 1_000;

  /** Of those that outlive a daemon: how the next one takes one over. */
  readonly #left = new Map<string, (life: Life, clock: Clock, on: ProcessEvents) => ProcessHandle>();

  /** The port of one daemon. `onGo` is asked when a command begins. `outside`: time that no daemon's death stops; processes are kept. */
  mount(life: Life, clock: Clock, random: Random, onGo: (run: ProcessRun) => void, outside?: Clock): Processes {
    return {
      home: '/home/sim',
      shell: ['sh', '-c'],
      confine: () => true,
      start: (run, on) => this.#start(life, clock, random.fork(), run, on, onGo, run.kept && outside ? outside : clock),
      reap: ({ processId, identity }) =>
        clock.soon(() => {
          if (this.alive.get(processId)?.identity === identity) this.alive.delete(processId);
        }),
      ...(outside
        ? {
            adopt: (left, on) => {
              const found = this.#left.get(left.processId);
              if (found) return found(life, clock, on);
              // What is left of it ends first.
              clock.soon(() => {
                this.#forget(left.processId);
                on.failed(new OptaError('background-failed', 'lost'));
              });
              return NO_HANDLE;
            },
          }
        : {}),
      endStrays: (owned) => {
        for (const id of this.#left.keys()) if (!owned.has(id)) this.#forget(id);
      },
    };
  }

  /** It waits for the next daemon, or its end does. */
  isLeft(processId: string): boolean {
    return this.#left.has(processId);
  }

  #forget(processId: string): void {
    this.#left.delete(processId);
    this.alive.delete(processId);
  }

  /** The daemon died: what begins only with its word ends, most guards do their work, and some processes have left their group. `faulty`: the log took not all. */
  orphan(random: Random, power: boolean, faulty: boolean): void {
    for (const [id, p] of this.alive) if (power || !p.went || (!p.kept && random.chance(0.7))) this.#forget(id);
    if (power) this.#left.clear();
    for (const id of this.#left.keys()) if (faulty || !this.#parted.has(id)) this.bereft.add(id);
  }

  #start(
    first: Life,
    startClock: Clock,
    random: Random,
    run: ProcessRun,
    on: ProcessEvents,
    onGo: (run: ProcessRun) => void,
    time: Clock,
  ): ProcessHandle {
    const { processId, argv } = run;
    const kept = run.kept === true && time !== startClock;
    const option = (name: string, otherwise: number): number =>
      Number(argv.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? otherwise);
    let reader: { on: ProcessEvents; life: Life } | null = { on, life: first };
    let paused = false;
    const held: [stream: 'stdout' | 'stderr', text: string][] = [];
    let end: { exitCode: number | null; signal: string | null } | null = null;

    const flush = (): void => {
      if (paused || !reader?.life.alive) return;
      for (const [stream, text] of held.splice(0)) reader?.on.output(stream, text);
      const told = end;
      if (!told || !reader) return;
      end = null;
      this.#left.delete(processId);
      reader.on.gone(told);
      reader = null;
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
        time.setTimeout(() => this.#forget(processId), 1);
      } else time.setTimeout(() => die(null, signal), random.int(0, 20));
    };
    const handleOf = (): ProcessHandle => ({
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
          time.setTimeout(() => say(random.chance(0.7) ? 'stdout' : 'stderr', text), at);
        }
        if (ms >= 0) time.setTimeout(() => die(option('code', 0), null), ms + 1);
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
        reader = null;
        this.#left.delete(processId);
        const p = this.alive.get(processId);
        if (!p) return;
        p.dying = true;
        time.setTimeout(() => this.alive.delete(processId), random.int(0, 5));
      },
      ...(kept
        ? {
            leave: () => {
              reader = null;
              this.#parted.add(processId);
              const p = this.alive.get(processId);
              if (p) p.life = NOBODY;
              if (p && !p.went) this.violations.push(`BG2: ${processId} was left before it had begun`);
            },
          }
        : {}),
    });

    startClock.setTimeout(
      () => {
        if (!reader) return;
        if (argv[0] !== 'job') {
          return on.failed(new OptaError('background-failed', `Background process failed to start: ${argv[0]}`));
        }
        const pid = ++this.#pids;
        const identity = `boot:${pid}`;
        this.alive.set(processId, { processId, pid, identity, life: first, kept, went: false, dying: false });
        if (kept)
          this.#left.set(processId, (life, clock, next) => {
            reader = null;
            paused = false;
            let over = false;
            clock.setTimeout(
              () => {
                if (over) return;
                this.#parted.delete(processId);
                const p = this.alive.get(processId);
                if (p) p.life = life;
                reader = { on: next, life };
                next.spawned({ pid, identity });
                clock.soon(flush);
              },
              random.int(0, 5),
            );
            const handle = handleOf();
            const then = (call?: () => void) => (): void => {
              over = true;
              call?.();
            };
            return { ...handle, drop: then(handle.drop), leave: then(handle.leave) };
          });
        on.spawned({ pid, identity });
      },
      random.int(0, 5),
    );
    return handleOf();
  }
}

/** Between two daemons. */
const NOBODY: Life = { alive: false };

const NO_HANDLE: ProcessHandle = {
  go: () => undefined,
  signal: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  drop: () => undefined,
};
