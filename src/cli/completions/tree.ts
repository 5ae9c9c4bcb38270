import type { Argument, Command, Option } from 'commander';
import { KEYS } from '../../config/keys.ts';
import { PROVIDERS } from '../../operations/secrets/providers.ts';
import { ACTIONS as MODEL_ACTIONS } from '../commands/models.ts';

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

const valuesOf = ({ long, argChoices, description, required, optional }: Option): Offer => {
  if (argChoices) return { words: argChoices };
  if (!required && !optional) return null;
  if (/^--(session|resume)$/.test(long ?? '')) return { ask: 'sessions' };
  const words = listed(description);
  // One word says what the value is.
  return words.length > 1 ? { words } : null;
};

const offerOf = (argument: Argument, path: string): Offer => {
  if (argument.argChoices) return { words: argument.argChoices };
  const name = argument.name();
  if (name === 'key' && /^(config|settings)$/.test(path)) return { words: KEYS.map(({ key }) => key) };
  if (/session id/.test(argument.description)) return { ask: 'sessions' };
  if (path === 'models' && name === 'action') return { words: Object.keys(MODEL_ACTIONS) };
  return /^(action|shell)$/.test(name) ? wordsOf(listed(argument.description)) : null;
};

const wordsOf = (words: string[]): Offer => (words.length === 0 ? null : { words });

const WORD = '[a-z][a-z-]*(?:<provider>)?';
const LIST = new RegExp(`^(?:${WORD}(?:, ${WORD})*,? or ${WORD}(?=$|[ ;,.])|${WORD}(?=$|;))`);

/** Help names values in one way: `list, show or delete`, perhaps with whose they are before it and more words behind. */
const listed = (text: string): string[] => {
  const bare = text.replace(/ \([^)]*\)/g, '').replace(/^[a-z]+(?:, [a-z]+)*: /, '');
  const words = LIST.exec(bare)?.[0].split(/,? or |, /) ?? [];
  return words.flatMap((word) =>
    word.endsWith('<provider>') ? PROVIDERS.map((name) => word.replace('<provider>', name)) : [word],
  );
};

const summary = (text: string): string => text.replace(/[\r\n]+/g, ' ').slice(0, 80);
