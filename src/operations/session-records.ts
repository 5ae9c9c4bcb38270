import { OptaError } from '../protocol/errors.ts';
import { SessionIdSchema } from '../protocol/ids.ts';
import type { Call, OperationOutput } from '../protocol/operations.ts';

export type SessionRow = OperationOutput<'sessions.list'>['sessions'][number];
export type SessionDetail = OperationOutput<'sessions.get'>;

/** A session as lists and searches show it to programs: the members that scripts know, then ours. */
export const listItem = (row: SessionRow) => ({
  id: row.sessionId,
  title: titleOf(row.title),
  tags: row.tags ?? [],
  model: row.model,
  created: row.createdAt,
  messageCount: row.messageCount,
  toolCallCount: row.toolCallCount,
  updated: row.updatedAt,
});

/** The whole session as `export` gives it to programs. */
export const exportRecord = (session: SessionDetail) => ({
  id: session.sessionId,
  created: session.createdAt,
  updated: session.updatedAt,
  model: session.model,
  cwd: session.workspace ?? '',
  title: titleOf(session.title),
  tags: tagsOf(session.metadata),
  messages: session.messages,
  toolCallCount: session.toolCallCount,
  // What the model is given is never shortened in place, so there is nothing to tell of it.
  compacted: false,
});

export const titleOf = (title: string | undefined): string => title || '(untitled)';

/** Tags are the texts in `metadata.tags`. */
export const tagsOf = (metadata: { readonly [key: string]: unknown } | undefined): string[] =>
  Array.isArray(metadata?.tags) ? metadata.tags.filter((tag): tag is string => typeof tag === 'string') : [];

export interface SessionFilter {
  /** At most this many; default 20. */
  limit?: number;
  /** Words that must all stand in title, first prompt, model, folder or id. */
  q?: string;
  /** Part of the model's name; case does not count. */
  model?: string;
  tag?: string;
  /** Made at this time, in ms, or later. */
  sinceMs?: number;
  /** How the id begins. */
  prefix?: string;
  /** Deleted sessions in place of the others. */
  deleted?: boolean;
}

const LIMIT_DEFAULT = 20;
const PAGE_MAX = 100;

/** Newest change first. The limit counts what passed the filter. */
export const findSessions = async (call: Call, filter: SessionFilter = {}): Promise<SessionRow[]> => {
  const { limit = LIMIT_DEFAULT, q, deleted } = filter;
  const passes = passing(filter);
  const rows: SessionRow[] = [];
  let cursor: string | undefined;
  do {
    const page: OperationOutput<'sessions.list'> = await call('sessions.list', {
      query: {
        limit: Math.min(PAGE_MAX, limit),
        ...(cursor === undefined ? {} : { cursor }),
        ...(q === undefined ? {} : { q }),
        ...(deleted ? { deleted: true } : {}),
      },
    });
    rows.push(...page.sessions.filter(passes));
    cursor = page.cursor;
  } while (cursor !== undefined && rows.length < limit);
  return rows.slice(0, limit);
};

const passing = ({ model, tag, sinceMs, prefix = '' }: SessionFilter) => {
  const wanted = model?.toLowerCase();
  return (row: SessionRow): boolean =>
    row.sessionId.startsWith(prefix) &&
    (wanted === undefined || row.model.toLowerCase().includes(wanted)) &&
    (tag === undefined || (row.tags ?? []).includes(tag)) &&
    (sinceMs === undefined || Date.parse(row.createdAt) >= sinceMs);
};

/** Fewer would too often mean more than one. */
const PREFIX_CHARS_MIN = 4;
const NEAR_MAX = 6;

/** The id that is meant: itself, or the only one that begins with it. Rejects with `invalid-request` when several do. */
export const sessionIdOf = async (call: Call, text: string, options: { deleted?: boolean } = {}): Promise<string> => {
  // What cannot be meant is left to the operation, which refuses it in its own words.
  if (text.length < PREFIX_CHARS_MIN || !SessionIdSchema.safeParse(text).success) return text;
  const { events } = await call('events.read', { params: { id: text }, query: { afterSeq: 0, limit: 1 } });
  if (events.length > 0) return text;
  const near = await findSessions(call, { q: text, prefix: text, limit: NEAR_MAX, ...options });
  const [only, other] = near;
  if (only === undefined) return text;
  if (other === undefined) return only.sessionId;
  const ids = near.slice(0, NEAR_MAX - 1).map((row) => row.sessionId);
  const more = near.length < NEAR_MAX ? '' : ' and others';
  throw new OptaError('invalid-request', `More than one session begins with ${text}: ${ids.join(', ')}${more}`, {
    ids,
  });
};
