import { useEffect, useState } from 'preact/hooks';
import type { AttachState } from '../client/attach-options.ts';
import type { FeedId, FeedMessages } from '../client/feed.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { client, refused } from './daemon.ts';

export interface Feed {
  state: AttachState;
  /** Why nothing comes: the last loss, or what ended it. */
  error: OptaError | null;
  /** Opens it anew. */
  again: () => void;
}

/** Reads a feed as long as the page is shown. `onMessage` is that of the first drawing. */
export const useFeed = <K extends FeedId>(
  id: K,
  sessionId: string | null,
  onMessage: (message: FeedMessages[K]) => void,
): Feed => {
  const [round, setRound] = useState(0);
  const [now, setNow] = useState<Pick<Feed, 'state' | 'error'>>({ state: 'connecting', error: null });
  useEffect(() => {
    const control = new AbortController();
    const tell = (state: AttachState, error: OptaError | null): void => {
      if (!control.signal.aborted) setNow({ state, error });
    };
    const read = async (): Promise<void> => {
      try {
        const messages = client.feed(id, {
          signal: control.signal,
          ...(sessionId === null ? {} : { sessionId }),
          onState: (told) =>
            tell(told.state === 'live' ? 'open' : 'waiting', told.state === 'live' ? null : told.error),
        });
        for await (const message of messages) if (!control.signal.aborted) onMessage(message);
        tell('ended', new OptaError('daemon-unreachable', 'The daemon has ended the feed.'));
      } catch (cause) {
        const error = toOptaError(cause);
        tell('ended', error);
        if (error.code === 'unauthorized' && !control.signal.aborted) refused();
      }
    };
    tell('connecting', null);
    void read();
    return () => control.abort();
  }, [id, sessionId, round]);
  return { ...now, again: () => setRound((n) => n + 1) };
};
