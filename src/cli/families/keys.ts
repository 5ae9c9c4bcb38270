import type { Family } from './family.ts';

/** `opta keychain` and `opta key`. */
export const addKeys: Family = () => undefined;
