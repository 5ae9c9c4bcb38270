import type { Family } from './family.ts';

/** `opta server`. */
export const addServer: Family = () => undefined;
