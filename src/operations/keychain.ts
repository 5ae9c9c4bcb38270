import type { Operations } from './operation.ts';

/** `keychain.*`. */
export const KEYCHAIN_OPERATIONS: Operations = {};
