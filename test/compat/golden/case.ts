import type { ChildProcess } from 'node:child_process';
import type { CliResult } from '../../support/cli.ts';
import type { FakeDaemon } from '../../support/fake-daemon.ts';
import type { FakeLmx, FakeLmxOptions } from '../../support/fake-lmx.ts';
import type { RealDaemon } from '../daemon.ts';
import type { Rule } from './stable.ts';

export type { Rule };

/** One command line in one situation. All that it prints and leaves behind is one file under `files/<family>`. */
export interface Case {
  /** Name of the golden file, without `.txt`. */
  name: string;
  args: readonly string[] | ((world: World) => readonly string[]);
  /**
   * `daemon` (the default): the family's home folder, in which a real daemon runs. `empty`: a home of its own with nothing in it;
   * whatever the command starts there is stopped afterwards.
   */
  in?: 'daemon' | 'empty';
  env?: { readonly [name: string]: string };
  /** What is piped in; nothing by default. `closed`: there is no standard input at all. */
  stdin?: string | { closed: true };
  /** What has to be there first. */
  before?(world: World): unknown;
  /** What happens while the command runs. */
  act?(running: Running, world: World): unknown;
  /** Files, from the home or the current folder, whose contents are part of the golden. */
  show?: readonly string[];
  /** What else varies from run to run, or from machine to machine. */
  stable?: readonly Rule[];
  /** Not beside another case of its family. */
  alone?: boolean;
}

export interface Family {
  /** What the family's daemon holds before its first case. */
  prepare?(world: World): unknown;
  /** Beyond two models and nothing to administer. */
  lmx?: FakeLmxOptions;
  /** For the family's daemon and all its commands. */
  env?: { readonly [name: string]: string };
  cases: readonly Case[];
}

export interface World {
  readonly home: string;
  /** Where the command runs: a folder of the case's own. */
  readonly cwd: string;
  readonly lmx: FakeLmx;
  /** The family's daemon; in an empty world there is none. */
  readonly daemon: RealDaemon;
  /** Runs another command line in this world. */
  opta(...args: string[]): Promise<CliResult>;
  /** Puts a daemon of a few lines there, whose turns a case writes by hand. */
  fakeDaemon(change?: (daemon: FakeDaemon) => void, state?: object): Promise<FakeDaemon>;
  /** Run when the case is over, last first. */
  later(fn: () => unknown): void;
}

export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves when what it has said so far fits. */
  said(pattern: RegExp): Promise<void>;
}
