import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import { OptaError, toOptaError } from '../../../protocol/errors.ts';
import { Narrator } from '../../../views/narration.ts';
import { type Desk, SessionDesk } from '../../../views/session-desk.ts';
import { client, refused, watched } from '../../daemon.ts';
import { announce } from '../../parts/announcer.tsx';
import { toast } from '../../parts/toasts.tsx';
import { useStore } from '../../use-store.ts';
import { clientId } from './me.ts';

/** A longer log is not read from its beginning: the page starts with the state of now, in which tool calls have no history. */
const EVENTS_READ_MAX = 5_000;

export type Opened =
  | { state: 'opening' }
  /** `head`: where the log was when the page came; what is before it is history. */
  | { state: 'open'; desk: SessionDesk; head: number }
  | { state: 'failed'; error: OptaError };

/** A place in the session for as long as the page is shown. */
export const useDesk = (sessionId: string, writerId: string, attempt: number): Opened => {
  const [opened, setOpened] = useState<Opened>({ state: 'opening' });
  useEffect(() => {
    let isGone = false;
    let close = (): void => undefined;
    const failed = (cause: unknown): void => {
      const error = toOptaError(cause);
      if (isGone) return;
      if (error.code === 'unauthorized') refused();
      else setOpened({ state: 'failed', error });
    };
    const open = async (): Promise<void> => {
      const { seq } = await watched(client.call('queue.list', { params: { id: sessionId } }));
      if (isGone) return;
      const link = client.session(sessionId, {
        clientId: clientId(),
        writerId,
        role: 'controller',
        presence: true,
        ...(seq > EVENTS_READ_MAX ? { from: 'snapshot' as const } : {}),
      });
      const desk = new SessionDesk(link);
      close = heard(desk, writerId);
      void link.ended.then((error) => error && failed(error));
      setOpened({ state: 'open', desk, head: seq });
    };
    setOpened({ state: 'opening' });
    open().catch(failed);
    return () => {
      isGone = true;
      close();
    };
  }, [sessionId, writerId, attempt]);
  return opened;
};

/** Says aloud what happens, and shows what the desk has to say. Returns the undo, which closes the desk. */
const heard = (desk: SessionDesk, writerId: string): (() => void) => {
  const narrator = new Narrator(Date.now() - 1_000, writerId);
  const unhear = desk.link.view.subscribe((view, record) => {
    for (const line of narrator.hear(view, record)) announce(line);
  });
  const { unsubscribe } = desk.store.subscribe(({ context }) => {
    for (const { id, text, tone } of context.notices) {
      toast(text, tone);
      desk.store.trigger.unsaid({ id });
    }
  });
  return () => {
    unhear();
    unsubscribe();
    desk.close();
  };
};

const DeskContext = createContext<SessionDesk | null>(null);
export const DeskProvider = DeskContext.Provider;

export const useTheDesk = (): SessionDesk => {
  const desk = useContext(DeskContext);
  if (!desk) throw new OptaError('internal', 'A part of the session page stands outside of it');
  return desk;
};

export const useDeskPart = <P>(select: (desk: Desk) => P): P => useStore(useTheDesk().store, select);
