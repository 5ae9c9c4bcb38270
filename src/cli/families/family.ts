import type { Command } from 'commander';
import type { Context } from '../context.ts';

/** Told the exit code of a command that has said all there is to say. */
export type Done = (exitCode: number) => void;

/** Adds the commands of one family to the tree. A command's code is loaded when it is run: `opta do` pays for no other. */
export type Family = (program: Command, ctx: Context, done: Done) => void;

/** Gathers a repeatable option. */
export const repeat = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
