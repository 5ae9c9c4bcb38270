import type { Operations } from './operation.ts';

/** `mcp.*`. */
export const MCP_OPERATIONS: Operations = {};
