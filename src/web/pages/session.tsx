import { useEffect, useState } from 'preact/hooks';
import { oneLine } from '../../client/printable.ts';
import { activityOf } from '../../views/activity.ts';
import { Button } from '../parts/button.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { useMedia } from '../parts/media.ts';
import { ErrorBox, Loading } from '../parts/states.tsx';
import { useConnection } from '../shell/connection.ts';
import { Page } from '../shell/page.tsx';
import { useStore } from '../use-store.ts';
import { About } from './session/about.tsx';
import { Cards } from './session/asks.tsx';
import { Composer } from './session/composer.tsx';
import { useDeeds } from './session/deeds.tsx';
import { Jobs } from './session/jobs.tsx';
import { me } from './session/me.ts';
import { Queue } from './session/queue.tsx';
import { useShownState } from './session/shown-state.ts';
import { ActivityLine, Present } from './session/top.tsx';
import { Transcript } from './session/transcript.tsx';
import { DeskProvider, useDesk, useDeskPart, useTheDesk } from './session/use-desk.ts';
import '../styles/session.css';

export const SessionPage = ({ sessionId }: { sessionId: string }) => {
  const name = useStore(me, (m) => m.name);
  const [attempt, setAttempt] = useState(0);
  const opened = useDesk(sessionId, name, attempt);
  if (opened.state === 'open') {
    return (
      <DeskProvider value={opened.desk}>
        <Open head={opened.head} />
      </DeskProvider>
    );
  }
  return (
    <Page title="Session" tab={oneLine(sessionId, 40)}>
      {opened.state === 'opening' ? (
        <Loading what="Opening the session" />
      ) : (
        <ErrorBox title="This session cannot be shown" error={opened.error} again={() => setAttempt((n) => n + 1)} />
      )}
    </Page>
  );
};

/** From this width on there is room for what is told about the session, beside it. */
const WIDE = '(min-width: 1100px)';

/** Where Esc leaves the field and ends nothing: an answer, a name, a choice. */
const FIELDS = 'select, .ask-answer, .about input, dialog input';

const Open = ({ head }: { head: number }) => {
  const desk = useTheDesk();
  const { sessionId } = desk.link;
  const title = useDeskPart(({ view }) => oneLine(view.state.title || sessionId, 120));
  const isRead = useDeskPart(({ view }) => view.state.seq >= head);
  const waits = useDeskPart(({ cards, aside }) => cards.length + aside.length > 0);
  const runs = useDeskPart(({ view }) => view.active !== null);
  useConnection(useDeskPart(({ view }) => (view.connection === 'detached' ? null : view.connection)));
  useShownState();
  const { actions, dialog } = useDeeds();
  const [finding, setFinding] = useState(false);
  const isWide = useMedia(WIDE);
  const [isAbout, setAbout] = useState(isWide);
  useEffect(() => setAbout(isWide), [isWide]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isFind = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key === 'f';
      // A second time it is the browser's own search that is wanted.
      if (isFind && !(event.target instanceof Element && event.target.closest('.find'))) {
        event.preventDefault();
        setFinding(true);
      } else if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]')) {
        const at = event.target instanceof HTMLElement ? event.target : null;
        const { view } = desk.desk;
        if (at?.closest(FIELDS)) at.blur();
        else if (view.active && activityOf(view).kind !== 'cancelling')
          void desk.cancel({ turnId: view.active.turnId });
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [desk]);
  return (
    <Page
      title={title}
      tab={`${runs && !waits ? '… ' : ''}${title}`}
      waits={waits}
      class={`session${isWide && isAbout ? ' session-wide' : ''}`}
      actions={
        <>
          <ActivityLine />
          <Present />
          <Button
            kind="quiet"
            icon="search"
            aria-label="Search in this conversation (Ctrl+F)"
            onClick={() => setFinding(true)}
          />
          <Button
            kind="quiet"
            icon="why"
            aria-label="About this session"
            aria-expanded={isAbout}
            onClick={() => setAbout(!isAbout)}
          />
        </>
      }
    >
      <div class="talk">
        {isRead ? (
          <Transcript finding={finding} onFound={() => setFinding(false)} />
        ) : (
          <div class="scroll">
            <Loading what="Reading the conversation" />
          </div>
        )}
        <div class="dock">
          <div class="dock-above">
            {isRead && <Cards />}
            <Jobs />
            <Queue />
          </div>
          <Composer />
        </div>
      </div>
      {dialog}
      {isAbout &&
        (isWide ? (
          <aside class="about" aria-label="About this session">
            <About actions={actions} />
          </aside>
        ) : (
          <Dialog title="About this session" onClose={() => setAbout(false)}>
            <About actions={actions} />
          </Dialog>
        ))}
    </Page>
  );
};
