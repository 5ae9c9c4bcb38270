import { useEffect } from 'preact/hooks';
import { useTheDesk } from './use-desk.ts';

/** Long enough that a stream is not hashed piece by piece: the hash reads the whole state. */
const STILL_MS = 400;

/** Once it is still, the page's landmark says which state it shows: whoever compares clients reads that there ([CL3]). */
export const useShownState = (): void => {
  const { link } = useTheDesk();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const say = (): void => {
      const main = document.getElementById('main');
      if (!main) return;
      main.dataset.seq = String(link.view.state.seq);
      main.dataset.stateHash = link.view.stateHash();
    };
    const later = (): void => {
      clearTimeout(timer);
      timer = setTimeout(say, STILL_MS);
    };
    const undo = link.view.subscribe(later);
    later();
    return () => {
      clearTimeout(timer);
      undo();
    };
  }, [link]);
};
