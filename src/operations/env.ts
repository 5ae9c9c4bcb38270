import type { Operations } from './operation.ts';

/** `env.*`. */
export const ENV_OPERATIONS: Operations = {};
