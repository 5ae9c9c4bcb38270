import { useEffect, useRef, useState } from 'preact/hooks';
import { type OptaError, toOptaError } from '../protocol/errors.ts';
import type { Why } from '../protocol/inspection.ts';
import { client, watched } from './daemon.ts';

/** Answers to the same question are this far apart at least. */
const EVERY_MS = 400;

export interface AskedWhy {
  why: Why | null;
  error: OptaError | null;
}

/**
 * What a session waits for. Asked when `version` is another than before, which is when the feed says that something has changed; at
 * most one question is under way, and while nothing happens there is none.
 */
export const useWhy = (sessionId: string | null, version: number): AskedWhy => {
  const [asked, setAsked] = useState<AskedWhy & { of: string | null }>({ of: null, why: null, error: null });
  const state = useRef({
    busy: false,
    again: false,
    of: sessionId,
    at: 0,
    timer: 0 as unknown as ReturnType<typeof setTimeout>,
  });
  useEffect(() => {
    const now = state.current;
    now.of = sessionId;
    if (sessionId === null) return;
    const ask = async (): Promise<void> => {
      const of = now.of;
      if (of === null) return;
      now.busy = true;
      now.again = false;
      now.at = Date.now();
      try {
        const why = (await watched(client.why(of))) as Why;
        if (now.of === of) setAsked({ of, why, error: null });
      } catch (cause) {
        if (now.of === of)
          setAsked((before) => ({ of, why: before.of === of ? before.why : null, error: toOptaError(cause) }));
      }
      now.busy = false;
      if (now.again) later();
    };
    const later = (): void => {
      clearTimeout(now.timer);
      now.timer = setTimeout(() => void ask(), Math.max(0, now.at + EVERY_MS - Date.now()));
    };
    if (now.busy) now.again = true;
    else later();
  }, [sessionId, version]);
  useEffect(
    () => () => {
      state.current.of = null;
      state.current.again = false;
      clearTimeout(state.current.timer);
    },
    [],
  );
  return asked.of === sessionId ? asked : { why: null, error: null };
};
