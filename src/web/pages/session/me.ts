import { createStore } from '@xstate/store';

const NAME = 'opta.name';
const CLIENT = 'opta.client';
const NAME_CHARS_MAX = 60;

/** Under which name this person's turns stand. No secret, so it is kept for all tabs. */
export const me = createStore({
  context: { name: localStorage.getItem(NAME) || 'web' },
  on: { named: (_, { name }: { name: string }) => ({ name }) },
});

export const rename = (text: string): void => {
  const name = text.trim().slice(0, NAME_CHARS_MAX);
  if (name === '') return;
  localStorage.setItem(NAME, name);
  me.trigger.named({ name });
};

/** Of this tab, for as long as it is open. */
export const clientId = (): string => {
  const kept = sessionStorage.getItem(CLIENT);
  if (kept) return kept;
  const id = `web-${crypto.getRandomValues(new Uint32Array(1))[0]?.toString(36)}`;
  sessionStorage.setItem(CLIENT, id);
  return id;
};
