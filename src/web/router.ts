import { createStore } from '@xstate/store';

/** Where the page is. It stands behind the `#`, so the daemon has one page and no server ever learns where somebody looks. */
export type Place =
  | { page: 'dashboard' }
  | { page: 'session'; sessionId: string }
  /** The inspector; of the whole daemon without a session. */
  | { page: 'inspect'; sessionId: string | null };

const HERE = { page: 'dashboard' } as const;

export const placeOf = (hash: string): Place => {
  const [page, id] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  if (page === 'sessions' && id) return { page: 'session', sessionId: id };
  if (page === 'inspect') return { page: 'inspect', sessionId: id || null };
  return HERE;
};

export const hashOf = (place: Place): string => {
  if (place.page === 'session') return `#/sessions/${encodeURIComponent(place.sessionId)}`;
  if (place.page === 'inspect') return `#/inspect${place.sessionId ? `/${encodeURIComponent(place.sessionId)}` : ''}`;
  return '#/';
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
};

export const router = createStore({
  context: placeOf(location.hash),
  on: { moved: (_, { place }: { place: Place }) => place },
});

window.addEventListener('hashchange', () => router.trigger.moved({ place: placeOf(location.hash) }));

export const go = (place: Place): void => {
  location.hash = hashOf(place);
};
