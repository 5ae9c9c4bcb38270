import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { access } from './daemon.ts';
import { ConnectPage } from './pages/connect.tsx';
import { Loading } from './parts/states.tsx';
import { type Place, router } from './router.ts';
import { Boundary } from './shell/boundary.tsx';
import { Page } from './shell/page.tsx';
import { Shell } from './shell/shell.tsx';
import { useStore } from './use-store.ts';

/** Which page is shown, in the shell. */
export const App = () => {
  const state = useStore(access, (a) => a.state);
  const place = useStore(router, (p) => p);
  const key = `${state} ${place.page} ${place.page === 'dashboard' ? '' : (place.sessionId ?? '')}`;
  return (
    <Shell place={place}>
      <Boundary key={key}>
        {state === 'entering' && (
          <Page title="Connecting" quiet>
            <Loading what="Connecting" />
          </Page>
        )}
        {state === 'asking' && <ConnectPage />}
        {state === 'ready' && <Shown place={place} />}
      </Boundary>
    </Shell>
  );
};

/** Each page is a file of its own, fetched when somebody goes there. */
const PAGES: { [P in Place['page']]: () => Promise<ComponentType<Extract<Place, { page: P }>>> } = {
  dashboard: async () => (await import('./pages/dashboard.tsx')).DashboardPage,
  session: async () => (await import('./pages/session.tsx')).SessionPage,
  inspect: async () => (await import('./pages/inspector.tsx')).InspectorPage,
};
const loaded = new Map<string, ComponentType<Place>>();

const Shown = ({ place }: { place: Place }) => {
  const [failure, setFailure] = useState<unknown>(null);
  const [, again] = useState(0);
  const Known = loaded.get(place.page);
  useEffect(() => {
    if (Known) return;
    let here = true;
    PAGES[place.page]().then(
      (page) => {
        loaded.set(place.page, page as ComponentType<Place>);
        if (here) again((n) => n + 1);
      },
      (cause) => here && setFailure(cause),
    );
    return () => {
      here = false;
    };
  }, [place.page]);
  // A file that cannot be had is the page's failure, and the boundary's to show.
  if (failure !== null) throw failure;
  if (Known) return <Known {...place} />;
  return (
    <Page title="Loading" quiet>
      <Loading />
    </Page>
  );
};
