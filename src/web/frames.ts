/** A hidden tab gets no frames; there it is this often. */
const HIDDEN_EVERY_MS = 250;

const waiting = new Set<() => void>();
let undo: (() => void) | null = null;

/** `ask` calls `work` once in the next frame, together with all that was asked for until then. */
export const onNextFrame = (work: () => void): { ask(): void; cancel(): void } => ({
  ask: () => {
    waiting.add(work);
    undo ??= scheduled();
  },
  cancel: () => void waiting.delete(work),
});

/** Whichever comes first: a tab may be hidden between the asking and the frame. */
const scheduled = (): (() => void) => {
  const frame = requestAnimationFrame(flush);
  const timer = setTimeout(flush, HIDDEN_EVERY_MS);
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
};

const flush = (): void => {
  undo?.();
  undo = null;
  const works = [...waiting];
  waiting.clear();
  for (const work of works) work();
};
