import type { Background, OutputStream, Signal } from '../protocol/background.ts';
import type { OptaError } from '../protocol/errors.ts';

/** Processes that outlive a call, or are one: what the actors need of whoever runs them. See `ports.ts`. */

export interface ProcessRun {
  processId: string;
  /** The program and its arguments; no shell looks at them. */
  argv: string[];
  /** Absolute. */
  cwd: string;
  /** A model's: its environment holds what a command needs and nothing else; without it a person's, who runs it as themselves. */
  model?: {
    /** Null: as the daemon's user, with everything that user may. */
    confine: { workspace: string; network: boolean } | null;
    /** What its environment has besides. */
    env?: { [name: string]: string };
  };
  /** What it reads on its standard input; nothing without it. */
  input?: string;
  /** It may outlive its daemon: then it has no input. */
  kept?: boolean;
}

export interface ProcessEvents {
  /** There is a process, and it waits for `go` before it becomes the command; one that is adopted has begun. */
  spawned(facts: { pid: number; identity: string | null }): void;
  output(stream: OutputStream, text: string): void;
  /** Last: it has ended, what it left behind was ended too, and all that it wrote has been told. */
  gone(end: { exitCode: number | null; signal: string | null }): void;
  /** In place of all others. */
  failed(error: OptaError): void;
}

export interface ProcessHandle {
  /** Called only after the start is committed: nobody's command runs unknown to the log. */
  go(): void;
  /** To the process and everything that it started. */
  signal(name: Signal): void;
  /** Back-pressure: stop and go on reading what it writes. */
  pause(): void;
  resume(): void;
  /** Ends it and everything it started, at once. No event follows. */
  drop(): void;
  /** Of a kept one: what was read of its output is told before this returns; then it is the next daemon's. No event follows. */
  leave?(): void;
}

/** A process in the log of a daemon that is gone. */
export type LeftProcess = Pick<Background, 'processId' | 'pid' | 'identity'>;

export interface Processes {
  /** The folder of commands in a session without a workspace. */
  readonly home: string;
  /** What stands before a command that is a script for a shell. */
  readonly shell: readonly string[];
  /** Whether a command there can be confined. */
  confine(at: { workspace: string; network: boolean }): boolean;
  start(run: ProcessRun, on: ProcessEvents): ProcessHandle;
  /** Ends what is left of it, as far as that is provably its own: a pid alone proves nothing. */
  reap(left: LeftProcess): void;
  /**
   * [BG7] Takes over a kept process of an earlier daemon, one that has ended meanwhile too. `failed`: nobody can tell what became of
   * it. Not there: processes end with their daemon.
   */
  adopt?(left: LeftProcess, on: ProcessEvents): ProcessHandle;
  /** What an earlier daemon has left and is none of these ends. */
  endStrays(owned: ReadonlySet<string>): void;
}
