import { access } from './daemon.ts';
import { ConnectPage } from './pages/connect.tsx';
import { DashboardPage } from './pages/dashboard.tsx';
import { InspectorPage } from './pages/inspector.tsx';
import { SessionPage } from './pages/session.tsx';
import { router } from './router.ts';
import { useStore } from './use-store.ts';

/** Which page is shown. */
export const App = () => {
  const state = useStore(access, (a) => a.state);
  const place = useStore(router, (p) => p);
  if (state === 'entering') return <p class="starting">Connecting …</p>;
  if (state === 'asking') return <ConnectPage />;
  if (place.page === 'session') return <SessionPage key={place.sessionId} sessionId={place.sessionId} />;
  if (place.page === 'inspect') return <InspectorPage key={place.sessionId ?? ''} sessionId={place.sessionId} />;
  return <DashboardPage />;
};
