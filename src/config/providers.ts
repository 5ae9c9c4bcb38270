/** Canonical provider names, and the aliases that scripts use for them. */
const PROVIDERS: { readonly [canonical: string]: readonly string[] } = {
  lmx: ['local', 'local_lmx', 'local-lmx'],
  anthropic: ['claude', 'claude-code'],
  gemini: ['google'],
  openai: ['codex', 'minimax'],
  opencode_zen: ['opencode-zen', 'opencode', 'opencodezen', 'zen'],
};

/** The canonical name of a provider, or undefined. Case does not count. */
export const providerOf = (text: string): string | undefined => {
  const name = text.trim().toLowerCase();
  return Object.entries(PROVIDERS).find(([canonical, aliases]) => name === canonical || aliases.includes(name))?.[0];
};

export const invalidProvider = (text: string): string => {
  const aliases = Object.values(PROVIDERS).flat().join(', ');
  return `Invalid provider "${text}". Providers: ${Object.keys(PROVIDERS).join(', ')}. Aliases: ${aliases}.`;
};
