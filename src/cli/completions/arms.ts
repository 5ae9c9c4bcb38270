import type { CompletedCommand, Offer } from './tree.ts';

/** One line of a shell's `case`: what happens for any of these words. */
export type Arm = (patterns: string[], does: string) => string;

type Commands = readonly CompletedCommand[];

const wordsOf = (path: string, names: readonly string[]): string[] => names.map((name) => `${path}:${name}`);

/** Words that lead on to another command. */
export const stepArms = (commands: Commands, arm: Arm, go: (to: string) => string): string[] =>
  commands.flatMap(({ path, next }) => next.map(({ word, to }) => arm(wordsOf(path, [word]), go(to))));

/** Options behind which a value stands. */
export const takingArms = (commands: Commands, arm: Arm, does: string): string[] =>
  commands.map(({ path, options }) =>
    arm(
      options.filter((o) => o.takesValue).flatMap((o) => wordsOf(path, o.names)),
      does,
    ),
  );

/** What is offered for such a value. */
export const valueArms = (commands: Commands, arm: Arm, offering: (offer: Offer) => string): string[] =>
  commands.flatMap(({ path, options }) =>
    options.filter((o) => o.offer !== null).map((o) => arm(wordsOf(path, o.names), offering(o.offer))),
  );
