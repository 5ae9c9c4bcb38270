import type { Operations } from './operation.ts';

/** `models.*`. */
export const MODEL_OPERATIONS: Operations = {};
