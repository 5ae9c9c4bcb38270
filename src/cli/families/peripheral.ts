import type { Family } from './family.ts';

/** Commands of the old CLI that are not part of this build. */
export const addPeripheral: Family = () => undefined;
