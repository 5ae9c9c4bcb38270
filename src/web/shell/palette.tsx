import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { oneLine } from '../../client/printable.ts';
import { fuzzyRanked } from '../../views/fuzzy.ts';
import { client, leave, watched } from '../daemon.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Icon } from '../parts/icon.tsx';
import { go } from '../router.ts';
import { useStore } from '../use-store.ts';
import { type Action, shell } from './actions.ts';

const ASK_AFTER_MS = 120;
const SESSIONS_MAX = 30;
const ACTIONS_MAX = 30;

const PAGES: readonly Action[] = [
  { id: 'page-dashboard', name: 'Dashboard', icon: 'gauge', run: () => go({ page: 'dashboard' }) },
  { id: 'page-inspect', name: 'Inspector', icon: 'tree', run: () => go({ page: 'inspect', sessionId: null }) },
  { id: 'new', name: 'New session', icon: 'plus', run: () => void shell.trigger.opened({ what: 'new-session' }) },
  { id: 'leave', name: 'Sign out', icon: 'out', run: () => void leave() },
];

/** Sessions, pages and what can be done here, by typing a part of the name. */
export const Palette = () => {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const offered = useStore(shell, (s) => s.actions);
  const sessions = useSessions(text);
  const list = useRef<HTMLDivElement>(null);
  const found = useMemo(
    () => [...fuzzyRanked(text.trim(), [...offered, ...PAGES], ({ name }) => [name], ACTIONS_MAX), ...sessions],
    [text, offered, sessions],
  );
  const chosen = Math.min(at, found.length - 1);
  useEffect(() => list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [chosen]);

  const close = (): void => void shell.trigger.closed();
  const run = (action: Action | undefined): void => {
    if (!action) return;
    close();
    action.run();
  };
  const onKey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && found.length > 0) setAt((chosen + step + found.length) % found.length);
    else if (event.key === 'Enter' && !event.isComposing) run(found[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Go to" bare class="palette" onClose={close}>
      <div class="palette-field">
        <Icon name="search" />
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-autocomplete="list"
          aria-label="A session, a page or an action"
          {...(found[chosen] ? { 'aria-activedescendant': `palette-${found[chosen].id}` } : {})}
          placeholder="A session, a page or an action"
          autoComplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKey}
        />
        <kbd>Esc</kbd>
      </div>
      <div ref={list} id="palette-list" class="palette-list" role="listbox" aria-label="Found" tabIndex={-1}>
        {found.map((action, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the field, which keeps the focus
          <div
            key={action.id}
            id={`palette-${action.id}`}
            class="palette-item"
            role="option"
            tabIndex={-1}
            aria-selected={i === chosen}
            onClick={() => run(action)}
            onPointerMove={() => setAt(i)}
          >
            <Icon name={action.icon} />
            <span class="palette-name">{action.name}</span>
            {action.keys && <kbd>{action.keys}</kbd>}
          </div>
        ))}
      </div>
      {found.length === 0 && <p class="palette-none">Nothing has that name.</p>}
      <p class="unseen" role="status">
        {found.length} found
      </p>
    </Dialog>
  );
};

/** Sessions as the daemon finds them, asked for when the typing pauses. */
const useSessions = (text: string): readonly Action[] => {
  const [found, setFound] = useState<readonly Action[]>([]);
  useEffect(() => {
    const gone = new AbortController();
    const q = text.trim();
    const timer = setTimeout(async () => {
      try {
        const query = { limit: SESSIONS_MAX, ...(q === '' ? {} : { q }) };
        const { sessions } = await watched(client.call('sessions.list', { query, signal: gone.signal }));
        setFound(
          sessions.map(({ sessionId, title }) => ({
            id: `session-${sessionId}`,
            name: oneLine(title ?? sessionId, 90),
            icon: 'chat' as const,
            run: () => go({ page: 'session', sessionId }),
          })),
        );
      } catch {
        // The pages and actions are still of use.
        if (!gone.signal.aborted) setFound([]);
      }
    }, ASK_AFTER_MS);
    return () => {
      clearTimeout(timer);
      gone.abort();
    };
  }, [text]);
  return found;
};
