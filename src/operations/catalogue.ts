import { CONFIG_OPERATIONS } from './config.ts';
import { ENV_OPERATIONS } from './env.ts';
import { KEYCHAIN_OPERATIONS } from './keychain.ts';
import { MCP_OPERATIONS } from './mcp.ts';
import { MODEL_OPERATIONS } from './models.ts';
import type { Operations } from './operation.ts';
import { SESSION_OPERATIONS } from './sessions.ts';
import { SYSTEM_OPERATIONS } from './system.ts';

/** Every named operation that this build backs, in the order in which they are listed. */
export const CATALOGUE: Operations = {
  ...SYSTEM_OPERATIONS,
  ...ENV_OPERATIONS,
  ...CONFIG_OPERATIONS,
  ...SESSION_OPERATIONS,
  ...MCP_OPERATIONS,
  ...MODEL_OPERATIONS,
  ...KEYCHAIN_OPERATIONS,
};
