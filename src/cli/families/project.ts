import type { Family } from './family.ts';

/** `opta init` and `opta diff`. */
export const addProject: Family = () => undefined;
