import type { Operations } from './operation.ts';

/** `config.*`. */
export const CONFIG_OPERATIONS: Operations = {};
