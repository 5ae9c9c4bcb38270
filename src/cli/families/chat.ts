import type { Family } from './family.ts';

/** `opta chat` and `opta tui`. */
export const addChat: Family = () => undefined;
