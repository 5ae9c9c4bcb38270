import { OptaError } from '../../protocol/errors.ts';

/**
 * Whose keys can be kept. Each has a place of its own, also where two names mean one company: a key that was stored as `codex`
 * must not replace the one stored as `openai`. This build itself reads that of `lmx`.
 */
export const PROVIDERS = [
  'anthropic',
  'lmx',
  'gemini',
  'openai',
  'opencode-zen',
  'github',
  'vercel',
  'cloudflare',
  'perplexity',
  'tavily',
  'brave',
  'exa',
  'groq',
  'claude',
  'codex',
  'minimax',
  'google',
  'opencode',
  'twitter',
] as const;
export type Provider = (typeof PROVIDERS)[number];

/** `opencode_zen` and `opencodeZen` are what other surfaces call `opencode-zen`. Throws `invalid-request`. */
export const providerOf = (text: string): Provider => {
  const name = text
    .trim()
    .replace(/(?<=[a-z])(?=[A-Z])/g, '-')
    .toLowerCase()
    .replaceAll('_', '-');
  const found = PROVIDERS.find((provider) => provider === name);
  if (found !== undefined) return found;
  throw new OptaError('invalid-request', `Unknown provider "${text}". Providers: ${PROVIDERS.join(', ')}`);
};

/** The member of a status: `opencodeZen`. */
export const fieldOf = (provider: Provider): string =>
  provider.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The names under which the older CLI stored keys, so that a key which is in the keyring already is found. */
export const SERVICE = 'opta-cli';
export const accountOf = (provider: Provider): string => `${provider}-api-key`;

const KEY_CHARS_MAX = 8_192;

/** A key as it is stored. Throws `invalid-request`, and never quotes the key. */
export const keyFrom = (text: string): string => {
  const key = text.trim();
  if (key === '') throw new OptaError('invalid-request', 'The key is empty. Nothing was changed');
  if (key.length > KEY_CHARS_MAX)
    throw new OptaError('invalid-request', `The key is longer than ${KEY_CHARS_MAX} characters. Nothing was changed`);
  // It travels in a header.
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new OptaError(
      'invalid-request',
      'The key holds blanks, line ends or special characters. Nothing was changed',
    );
  return key;
};

/** Enough to recognise a long key, and never enough to use it. */
export const masked = (key: string): string => {
  const shown = Math.min(4, Math.floor(key.length / 8));
  return `${key.slice(0, shown)}${'*'.repeat(8)}${key.slice(key.length - shown)}`;
};
