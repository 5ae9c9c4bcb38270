import type { OptaClient } from '../../client/index.ts';
import { findSessions, type SessionRow, sessionIdOf, titleOf } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Call } from '../../protocol/operations.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../exit.ts';
import { oneLine } from '../output.ts';

const SHOWN_MAX = 20;

/** Shows a list and resolves with the place that was chosen, from 1; null when none was. */
export type PickOne = (rows: readonly string[]) => Promise<number | null>;

/**
 * The session that is meant: by its id, by the beginning of it, or by words of its title, first prompt, model or folder. One hit is
 * taken; of several the person picks, and without one (`pick` is null) that is misuse, with the list.
 */
export const pickSession = async (call: Call, text: string, pick: PickOne | null): Promise<string> => {
  const exact = await existing(call, await sessionIdOf(call, text).catch(() => text));
  if (exact !== null) return exact;
  const rows = await findSessions(call, { q: text, limit: SHOWN_MAX });
  const [only, other] = rows;
  if (only === undefined) throw new OptaError('session-not-found', `Session not found: ${oneLine(text, 80)}`);
  if (other === undefined) return only.sessionId;
  const lines = rows.map(rowOf);
  const place = pick === null ? null : await pick(lines);
  const chosen = place === null ? undefined : rows[place - 1];
  if (chosen) return chosen.sessionId;
  if (pick !== null) throw new OptaError('cancelled', 'No session was chosen');
  throw new UsageError(`"${oneLine(text, 80)}" fits more than one session:\n${lines.map((l) => `  ${l}`).join('\n')}`);
};

const rowOf = (row: SessionRow): string =>
  `${row.sessionId}  ${row.updatedAt.slice(0, 16).replace('T', ' ')}  ${oneLine(row.title ?? row.preview ?? titleOf(undefined), 60)}`;

/** Throws `session-deleted` for one that was put away: nothing could be said in it. */
const existing = async (call: Call, id: string): Promise<string | null> => {
  try {
    const { sessionId, deletedAt } = await call('sessions.get', { params: { id } });
    if (deletedAt === undefined) return sessionId;
    const how = `opta sessions undelete ${sessionId} brings it back`;
    throw new OptaError('session-deleted', `Session ${sessionId} was put away; ${how}`, { deletedAt });
  } catch (cause) {
    if (cause instanceof OptaError && (cause.code === 'session-not-found' || cause.code === 'invalid-request'))
      return null;
    throw cause;
  }
};

export const newSession = async (
  ctx: Context,
  client: OptaClient,
  { model, workspace = ctx.cwd }: { model?: string | undefined; workspace?: string },
): Promise<string> => {
  const named = model === undefined || model === '' ? {} : { model };
  return (await client.createSession({ ...named, metadata: { workspace, source: 'opta chat' } })).sessionId;
};
