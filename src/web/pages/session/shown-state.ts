import { useEffect } from 'preact/hooks';
import { Hashing } from './hashing.ts';
import { useTheDesk } from './use-desk.ts';

/** Long enough that a stream is not hashed piece by piece: the hash reads the whole state. */
const STILL_MS = 400;
/** Of one frame; the rest is the drawing's. */
const SLICE_MS = 8;

/** Once it is still, the page's landmark says which state it shows: whoever compares clients reads that there ([CL3]). */
export const useShownState = (): void => {
  const { link } = useTheDesk();
  useEffect(() => {
    const hashing = new Hashing();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const later = (work: () => void, ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(work, ms);
    };
    const say = async (): Promise<void> => {
      const { state } = link.view;
      const end = performance.now() + SLICE_MS;
      if (!hashing.prepare(state, () => performance.now() >= end)) return later(say, 0);
      const hash = await hashing.hash(state);
      const main = document.getElementById('main');
      // What has changed meanwhile is said when it is still again.
      if (!main || link.view.state !== state) return;
      main.dataset.seq = String(state.seq);
      main.dataset.stateHash = hash;
    };
    const soon = (): void => later(say, STILL_MS);
    const undo = link.view.subscribe(soon);
    soon();
    return () => {
      clearTimeout(timer);
      undo();
    };
  }, [link]);
};
