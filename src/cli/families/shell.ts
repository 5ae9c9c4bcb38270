import type { Family } from './family.ts';

/** `opta completions` and `opta version`. */
export const addShell: Family = () => undefined;
