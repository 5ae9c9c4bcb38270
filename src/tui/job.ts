/** What is put away while the shell has the terminal. */
export interface Stage {
  leave(): void;
  enter(): void;
}

/** A process that nobody can stop, such as one without a shell above it, goes on after this. */
const STOPS_WITHIN_MS = 100;

/**
 * The program as a job of a shell: Ctrl+Z, or a signal that says the same, gives the terminal back as it was, and SIGCONT takes
 * it again. Whoever was stopped without a word (SIGSTOP) finds a terminal that the shell has changed meanwhile, and takes it anew.
 */
export const jobControl = (
  stage: Stage,
  input: Pick<NodeJS.ReadStream, 'setRawMode'>,
  draw: () => void,
): { suspend(): void; undo(): void } => {
  if (process.platform === 'win32') return { suspend: () => undefined, undo: () => undefined };
  let away = false;
  let timer: NodeJS.Timeout | undefined;
  const suspend = (): void => {
    if (away) return;
    away = true;
    stage.leave();
    input.setRawMode?.(false);
    // Without a listener the signal does what it does; to the whole group, as the key of a terminal does it.
    process.removeListener('SIGTSTP', suspend);
    process.kill(0, 'SIGTSTP');
    timer = setTimeout(back, STOPS_WITHIN_MS);
  };
  const back = (): void => {
    clearTimeout(timer);
    if (away) process.on('SIGTSTP', suspend);
    else {
      // Node believes the mode to be what it asked for, and would not ask again.
      input.setRawMode?.(false);
      stage.leave();
    }
    away = false;
    input.setRawMode?.(true);
    stage.enter();
    draw();
  };
  process.on('SIGTSTP', suspend);
  process.on('SIGCONT', back);
  const undo = (): void => {
    clearTimeout(timer);
    process.removeListener('SIGTSTP', suspend);
    process.removeListener('SIGCONT', back);
  };
  return { suspend, undo };
};
