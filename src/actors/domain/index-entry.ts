import { isRunning } from '../../protocol/background.ts';
import { type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import type { IndexEntry } from '../ports.ts';

const PREVIEW_CHARS = 160;

/** What lists show of a session; a projection of its state, stored with every commit. */
export const indexEntry = (s: SessionState): IndexEntry => {
  const { sessionId, title, model, workspace, createdAt, updatedAt, toolCallCount, queuedTurns, activeTurnId } =
    toSnapshot(s);
  const tags = tagsOf(s.metadata?.tags);
  const prompt = s.messages.find((m) => m.role === 'user')?.content ?? s.queue[0]?.content;
  return {
    sessionId,
    ...(title === undefined ? {} : { title }),
    model,
    ...(workspace === undefined ? {} : { workspace }),
    ...(tags.length === 0 ? {} : { tags }),
    createdAt,
    updatedAt,
    seq: s.seq,
    toolCallCount,
    messageCount: s.messages.length,
    queuedTurns,
    ...(activeTurnId === undefined ? {} : { activeTurnId }),
    ...(prompt === undefined ? {} : { preview: prompt.slice(0, PREVIEW_CHARS).replace(/\s+/g, ' ').trim() }),
    ...(s.deletedAt === undefined ? {} : { deletedAt: s.deletedAt }),
  };
};

const TAGS_MAX = 32;
const TAG_CHARS_MAX = 64;

/** The texts in `metadata.tags`, as many as a list can carry with each row. */
const tagsOf = (given: unknown): string[] =>
  (Array.isArray(given) ? given : [])
    .filter((tag): tag is string => typeof tag === 'string' && tag !== '' && tag.length <= TAG_CHARS_MAX)
    .slice(0, TAGS_MAX);

/** A session with work that is not over: it is loaded at boot. */
export const isOpen = (s: SessionState): boolean =>
  s.active !== null || s.queue.length > 0 || s.background.some(isRunning) || s.rollback !== undefined;
