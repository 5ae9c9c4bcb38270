import type { Family } from './family.ts';

/** `opta mcp`. */
export const addMcp: Family = () => undefined;
