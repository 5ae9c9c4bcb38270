import type { LinkTurn, SessionLink } from '../client/session-link.ts';

export interface SessionLine {
  id: string;
  title: string;
  /** When it was changed last, and what else tells it from others. */
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
  /** How turns are asked for, in a word or two; '' when there is nothing to say. */
  mode(): string;
  open(sessionId: string): SessionLink;
  /** A turn with what its text refers to, and what a person should know of that. */
  turn(text: string): { turn: LinkTurn; notes: readonly string[] };
  /** Makes sure that there is a daemon to speak to. */
  revive(): Promise<void>;
  /** A session that nobody has named gets a name from what was said first. */
  name(text: string): Promise<void>;
  /** Runs a line that is no message; false when it is one. */
  command(line: string, room: CommandRoom): Promise<boolean>;
  sessions(): Promise<readonly SessionLine[]>;
}
