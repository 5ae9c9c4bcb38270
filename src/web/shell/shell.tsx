import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { access, askAgain, leave } from '../daemon.ts';
import { Announcer } from '../parts/announcer.tsx';
import { Button } from '../parts/button.tsx';
import { Icon, type IconName } from '../parts/icon.tsx';
import { Toasts, toasts } from '../parts/toasts.tsx';
import { hashOf, type Place } from '../router.ts';
import { useStore } from '../use-store.ts';
import { shell } from './actions.ts';
import { connection } from './connection.ts';
import { NewSession } from './new-session.tsx';
import { Palette } from './palette.tsx';

/** What stands around every page: the way about, how the daemon is reached, and what is said aloud. */
export const Shell = ({ place, children }: { place: Place; children: ComponentChildren }) => {
  const open = useStore(shell, (s) => s.open, 'now');
  const ready = useStore(access, (a) => a.state === 'ready');
  // At the connect screen there is one thing to know, and it is said there.
  useEffect(() => {
    if (ready) return;
    toasts.trigger.cleared();
    shell.trigger.closed();
  }, [ready]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== 'k')
        return;
      if (access.getSnapshot().context.state !== 'ready') return;
      event.preventDefault();
      if (shell.getSnapshot().context.open === 'palette') shell.trigger.closed();
      else shell.trigger.opened({ what: 'palette' });
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
  return (
    <div class="shell">
      {/* No link: what stands behind the # of this page is where it is. */}
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <header class="head">
        <a class="brand" href={hashOf({ page: 'dashboard' })} aria-label="Opta, dashboard">
          <span class="ring" aria-hidden="true" />
          <span class="brand-name">Opta</span>
        </a>
        {ready && <Ways place={place} />}
        {ready && <Reach />}
      </header>
      {children}
      {ready && open === 'palette' && <Palette />}
      {ready && open === 'new-session' && <NewSession />}
      <Toasts />
      <Announcer />
    </div>
  );
};

const Ways = ({ place }: { place: Place }) => {
  const session = place.page === 'dashboard' ? null : place.sessionId;
  return (
    <nav class="ways" aria-label="Pages">
      <Way to={{ page: 'dashboard' }} icon="gauge" name="Dashboard" here={place.page === 'dashboard'} />
      {session !== null && (
        <Way to={{ page: 'session', sessionId: session }} icon="chat" name="Session" here={place.page === 'session'} />
      )}
      <Way to={{ page: 'inspect', sessionId: session }} icon="tree" name="Inspector" here={place.page === 'inspect'} />
    </nav>
  );
};

const Way = ({ to, icon, name, here }: { to: Place; icon: IconName; name: string; here: boolean }) => (
  <a class="way" href={hashOf(to)} title={name} {...(here ? { 'aria-current': 'page' } : {})}>
    <Icon name={icon} />
    <span class="way-name">{name}</span>
  </a>
);

const STATES = {
  open: ['good', 'live'],
  connecting: ['warn', 'connecting'],
  waiting: ['warn', 'reconnecting'],
  ended: ['bad', 'disconnected'],
} as const;

const Reach = () => {
  const state = useStore(connection, (c) => c.state);
  const port = useStore(access, (a) => (a.state === 'ready' ? a.way.port : null));
  const [tone, word] = state === null ? (['plain', 'ready'] as const) : STATES[state];
  return (
    <div class="reach">
      <p class={`reach-state reach-${tone}`} role="status" title={`Daemon on port ${port}`}>
        <span class="dot" aria-hidden="true" />
        <span class="reach-word">{word}</span>
        <span class="reach-port" aria-hidden="true">
          :{port}
        </span>
      </p>
      {(state === 'waiting' || state === 'ended') && (
        <Button small onClick={() => askAgain('The daemon does not answer. It may be on another port now.')}>
          Elsewhere?
        </Button>
      )}
      <Button
        class="reach-extra"
        kind="quiet"
        icon="plus"
        aria-label="New session"
        onClick={() => shell.trigger.opened({ what: 'new-session' })}
      />
      <Button
        class="reach-extra"
        kind="quiet"
        icon="search"
        aria-label="Go to (Ctrl+K)"
        aria-keyshortcuts="Control+K Meta+K"
        onClick={() => shell.trigger.opened({ what: 'palette' })}
      />
      <Button class="reach-extra" kind="quiet" icon="out" aria-label="Sign out" onClick={() => void leave()} />
    </div>
  );
};
