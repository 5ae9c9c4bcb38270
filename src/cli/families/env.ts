import type { Family } from './family.ts';

/** `opta env`. */
export const addEnv: Family = () => undefined;
