import type { Operations } from './operation.ts';

/** `system.*`. */
export const SYSTEM_OPERATIONS: Operations = {};
