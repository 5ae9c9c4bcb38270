import type { StoredRecord } from '../actors/ports.ts';
import { decodeEnvelope } from '../protocol/envelope.ts';

/** At the beginning of a record, where no text of a model can stand. */
const DECIDED = /^\{"v":"3","event":"permission\.resolved"/;

/** [PM11] Hands on what people allowed for a whole workspace, once it is in the log of their session. */
export const allowedForGood =
  (
    workspaceOf: (sessionId: string) => string | undefined,
    keep: (allowed: { workspace: string; tool: string; decidedBy: string }) => void,
  ) =>
  (sessionId: string, records: readonly StoredRecord[]): void => {
    for (const { text } of records) {
      if (!DECIDED.test(text) || !text.includes('"remember":"workspace"')) continue;
      const { event, payload } = decodeEnvelope(text).record;
      const workspace = workspaceOf(sessionId);
      if (event !== 'permission.resolved' || payload.remember !== 'workspace' || workspace === undefined) continue;
      keep({ workspace, tool: payload.toolName, decidedBy: payload.decidedBy });
    }
  };
