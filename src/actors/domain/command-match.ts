import { glob } from '../../protocol/glob.ts';

/** What a shell does more with than start one program: several commands, pipes, redirections, substitutions. */
const MORE_THAN_ONE = /[;&|<>`$()\n\r\\]/;
const SEPARATORS = /[;&|`\n\r]+|\$\(|[()]/;

/**
 * Whether a rule's glob is for this command. What widens (`allow`) is only for a command that is one program with its arguments:
 * `npm test` must not allow `npm test; rm -rf .`. What narrows is also for any part of a command that could be a command itself;
 * quotes are not looked at, so that it is too wide rather than too narrow.
 */
export const matchesCommand = (pattern: string, command: string, action: 'allow' | 'ask' | 'deny'): boolean => {
  const whole = command.trim();
  if (action === 'allow') return !MORE_THAN_ONE.test(whole) && glob(pattern, whole);
  return [whole, ...whole.split(SEPARATORS)].some((part) => glob(pattern, part.trim()));
};
