import type { Context } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';
import type { Conversation } from './conversation.ts';
import { nearest } from './distance.ts';

/** What a slash command may touch. What it says goes through `ctx.output`, which never is stdout. */
export interface Room {
  readonly ctx: Context;
  readonly talk: Conversation;
  /** Aborts when the person wants it to end. */
  readonly signal: AbortSignal;
  readonly face: 'line' | 'screen';
  leave(): void;
  /** Goes on in another session. */
  go(sessionId: string): Promise<void>;
  /** Says something to the model, as if it had been typed. */
  send(text: string): Promise<void>;
  /** Opens the person's editor; null when nothing was written. Absent where there is no terminal to lend. */
  edit?(text: string): Promise<string | null>;
  /** Chooses how answers are printed, where they are printed. */
  format?(to: 'text' | 'json' | undefined): 'text' | 'json';
}

/** The words behind a command. `as`: the name under which it was called; `rest`: the words as one text. */
export interface Words {
  args: readonly string[];
  rest: string;
  as: string;
}

export interface SlashCommand {
  name: string;
  aliases: readonly string[];
  /** What may stand behind the name. */
  usage: string;
  text: string;
  run(room: Room, words: Words): unknown;
}

/** A command that a line asks for; null for what is meant for the model, such as a path. */
export const parseSlash = (line: string): { name: string; rest: string } | null => {
  const match = /^\/([a-z][a-z-]*|\?)(?:\s+([\s\S]*))?$/i.exec(line.trim());
  return match ? { name: (match[1] as string).toLowerCase(), rest: (match[2] ?? '').trim() } : null;
};

/** Names that this build does not back, and what to do instead. */
export type Elsewhere = { readonly [name: string]: string };

export interface SlashTable {
  commands: readonly SlashCommand[];
  elsewhere: Elsewhere;
}

export const find = ({ commands }: SlashTable, name: string): SlashCommand | undefined =>
  commands.find((command) => command.name === name || command.aliases.includes(name));

export const usageOf = ({ name, aliases, usage, text }: SlashCommand): string => {
  const also = aliases.length === 0 ? '' : `  also: ${aliases.map((alias) => `/${alias}`).join(', ')}\n`;
  return `/${name}${usage === '' ? '' : ` ${usage}`}\n  ${text}\n${also}`;
};

/** Runs one line. Resolves with an exit code, for scripts; a name that is not known is never guessed at. */
export const runSlash = async (table: SlashTable, line: string, room: Room): Promise<number> => {
  const parsed = parseSlash(line);
  if (parsed === null) return EXIT.misuse;
  const { name, rest } = parsed;
  const { output } = room.ctx;
  const command = find(table, name);
  if (command === undefined) {
    const instead = Object.hasOwn(table.elsewhere, name) ? table.elsewhere[name] : undefined;
    output.err(instead === undefined ? unknown(table, name) : `/${name}: ${instead}\n`);
    return instead === undefined ? EXIT.misuse : EXIT.error;
  }
  const args = rest === '' ? [] : rest.split(/\s+/);
  if (args.length === 1 && (args[0] === '--help' || args[0] === '-h')) {
    output.out(usageOf(command));
    return EXIT.ok;
  }
  try {
    const code = await command.run(room, { args, rest, as: name });
    return typeof code === 'number' ? code : EXIT.ok;
  } catch (cause) {
    return reportFailure(output, cause, false);
  }
};

const unknown = (table: SlashTable, name: string): string => {
  const names = table.commands.flatMap((command) => [command.name, ...command.aliases]).filter((n) => n.length > 1);
  const near = nearest(name, names).map((n) => `/${n}`);
  const hint = near.length === 0 ? '/help lists them' : `did you mean ${near.join(' or ')}?`;
  return `There is no command /${name}: ${hint}\n`;
};
