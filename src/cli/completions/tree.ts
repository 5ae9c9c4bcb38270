import type { Argument, Command, Option } from 'commander';
import { KEYS } from '../../config/keys.ts';

/** What a shell offers at one place: fixed words, or what is asked for when the key is pressed. */
export type Offer = { words: string[] } | { ask: 'sessions' } | null;

export interface CompletedOption {
  /** `--json`, and its short form. */
  names: string[];
  text: string;
  takesValue: boolean;
  offer: Offer;
}

/** One command, with its path from the root: `''`, `daemon`, `daemon start`. */
export interface CompletedCommand {
  path: string;
  /** Words that lead to a command below it, other names included. */
  next: { word: string; to: string }[];
  commands: { word: string; text: string }[];
  options: CompletedOption[];
  /** By place; the last one of a variadic command counts for all that follow. */
  arguments: { offer: Offer; variadic: boolean }[];
}

/** All commands that help lists, the root first. */
export const completedCommands = (root: Command, path = ''): CompletedCommand[] => {
  const help = root.createHelp();
  // Nobody wants to be led to what then says that it is not here.
  const below = help.visibleCommands(root).filter((c) => !c.description().startsWith('not part of this build'));
  const to = (word: string): string => (path === '' ? word : `${path} ${word}`);
  const own: CompletedCommand = {
    path,
    next: below.flatMap((c) => [c.name(), ...c.aliases()].map((word) => ({ word, to: to(c.name()) }))),
    commands: below.map((c) => ({ word: c.name(), text: summary(c.description()) })),
    options: help.visibleOptions(root).map(completedOption),
    arguments: root.registeredArguments.map((argument) => ({
      offer: offerOf(argument, path),
      variadic: argument.variadic,
    })),
  };
  // `help` is a word that commander adds; it leads nowhere.
  const deeper = below.filter((c) => root.commands.includes(c)).flatMap((c) => completedCommands(c, to(c.name())));
  return [own, ...deeper];
};

const completedOption = (option: Option): CompletedOption => ({
  names: [option.long, option.short].filter((name) => name !== undefined),
  text: summary(option.description),
  takesValue: option.required || option.optional,
  offer: valuesOf(option),
});

const valuesOf = ({ long, flags, argChoices, description }: Option): Offer => {
  if (argChoices) return { words: argChoices };
  if (/^--(session|resume)$/.test(long ?? '')) return { ask: 'sessions' };
  const bars = /<([a-z-]+(?:\|[a-z-]+)+)>/.exec(flags)?.[1];
  if (bars !== undefined) return { words: bars.split('|') };
  const words = /<(type|slug|name)>/.test(flags) ? listed(description) : [];
  return words.length === 0 ? null : { words };
};

const offerOf = (argument: Argument, path: string): Offer => {
  if (argument.argChoices) return { words: argument.argChoices };
  if (argument.name() === 'key' && path === 'config') return { words: KEYS.map(({ key }) => key) };
  if (/session id/.test(argument.description)) return { ask: 'sessions' };
  const words = /^(action|shell)$/.test(argument.name()) ? listed(argument.description) : [];
  return words.length === 0 ? null : { words };
};

/** Help names actions in one way: `list, show or delete`, perhaps with more words behind. */
const listed = (text: string): string[] => {
  const list = /^[a-z][a-z-]*(?:, [a-z][a-z-]*)*,? or [a-z][a-z-]*(?=$|[ ;,.])/.exec(text)?.[0];
  return list === undefined ? [] : list.split(/,? or |, /);
};

const summary = (text: string): string => text.replace(/[\r\n]+/g, ' ').slice(0, 80);
