import type { StoredRecord } from '../actors/ports.ts';
import { commandOf } from '../protocol/decisions.ts';
import type { SessionState } from '../protocol/session-state.ts';
import { recordsOf } from './published.ts';

interface Allowed {
  workspace: string;
  tool: string;
  command?: string;
  decidedBy: string;
}

/** [PM11] Hands on what people allowed for a whole workspace, once it is in the log of their session. */
export const allowedForGood =
  (stateOf: (sessionId: string) => SessionState | null, keep: (allowed: Allowed) => void) =>
  (sessionId: string, records: readonly StoredRecord[]): void => {
    for (const { payload } of recordsOf(records, ['permission.resolved'])) {
      const state = stateOf(sessionId);
      if (payload.remember !== 'workspace' || !state?.workspace) continue;
      const { toolName: tool, decidedBy, callId } = payload;
      const at = { workspace: state.workspace, tool, decidedBy };
      const command = commandOf(state.active?.calls.find(({ id }) => id === callId)?.args ?? '');
      keep({ ...at, ...(command === undefined ? {} : { command }) });
    }
  };
