import type { IndexEntry, ListPage } from '../actors/ports.ts';

/** Whether a list shows a session: deleted ones have a list of their own, and each word of the search must stand somewhere. */
export const listFilter = ({ q, deleted = false }: ListPage): ((index: IndexEntry) => boolean) => {
  const words = (q ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  return (index) => {
    if (index.purgedAt !== undefined || (index.deletedAt !== undefined) !== deleted) return false;
    if (words.length === 0) return true;
    const { title = '', preview = '', model, workspace = '', sessionId } = index;
    const text = [title, preview, model, workspace, sessionId].join('\n').toLowerCase();
    return words.every((word) => text.includes(word));
  };
};
