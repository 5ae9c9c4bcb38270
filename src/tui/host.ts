import type { OptaClient } from '../client/client.ts';
import type { LinkTurn, SessionLink } from '../client/session-link.ts';
import type { Override } from './bindings.ts';
import type { CommandName } from './completion.ts';

export interface SessionLine {
  id: string;
  title: string;
  /** When it was changed last, and what else tells it from others. */
  detail: string;
  /** Looked through, and not shown. */
  words: string;
  /** A turn runs in it. */
  live: boolean;
  /** How many calls wait for a decision. */
  asks: number;
}

export interface ModelLine {
  id: string;
  detail: string;
}

/** What a slash command or a `!` line may do to the screen that it was typed on. */
export interface CommandRoom {
  signal: AbortSignal;
  say(text: string): void;
  leave(): void;
  open(sessionId: string): Promise<void>;
  submit(text: string): Promise<void>;
}

/** What the screen needs of the program that shows it. It knows nothing of commands, files or the daemon's life. */
export interface Host {
  /** Who sits here. */
  readonly writerId: string;
  readonly client: OptaClient;
  /** Keys that a person has given to actions, and what is wrong with the file. */
  readonly keys: { readonly overrides: { readonly [action: string]: Override }; readonly notes: readonly string[] };
  /** How turns are asked for, in a word or two; '' when there is nothing to say. `loud`: rights are widened. */
  mode(): { text: string; loud: boolean };
  cycleMode(): void;
  open(sessionId: string): SessionLink;
  /** A turn with what its text refers to, and what a person should know of that. */
  turn(text: string): { turn: LinkTurn; notes: readonly string[] };
  /** Makes sure that there is a daemon to speak to. */
  revive(): Promise<void>;
  /** A session that nobody has named gets a name from what was said first. */
  name(text: string): Promise<void>;
  commands(): readonly CommandName[];
  /** Paths that begin as `typed` does, for `@`. */
  files(typed: string): Promise<readonly string[]>;
  /** Runs a line that is no message; false when it is one. */
  command(line: string, room: CommandRoom): Promise<boolean>;
  sessions(): Promise<readonly SessionLine[]>;
  newSession(): Promise<string>;
  removeSession(sessionId: string): Promise<void>;
  models(): Promise<readonly ModelLine[]>;
  useModel(model: string): Promise<void>;
}
