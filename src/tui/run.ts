import { OptaError } from '../protocol/errors.ts';
import { App } from './app.ts';
import type { Host } from './host.ts';
import { jobControl } from './job.ts';
import { listenKeys } from './keys.ts';
import { Surface } from './surface.ts';

export type { Override } from './bindings.ts';
export type { CommandName } from './completion.ts';
export type { CommandRoom, Host, ModelLine, SessionLine } from './host.ts';

export interface Terminal {
  input: NodeJS.ReadStream;
  output: NodeJS.WriteStream;
  env: { readonly [name: string]: string | undefined };
}

/** The full screen until the person leaves. Whatever happens, the terminal is as it was afterwards. */
export const runTui = (host: Host, sessionId: string, terminal: Terminal): Promise<void> =>
  onScreen(terminal, async (surface, gone) => {
    const { input } = terminal;
    const job = jobControl(surface, input, () => app.draw());
    const canvas = Object.assign(surface, { suspend: job.suspend });
    const app: App = new App(host, canvas, sessionId);
    const interrupt = (): void => app.interrupt();
    process.on('SIGINT', interrupt);
    surface.onResize(() => app.draw());
    const undo = listenKeys(input, { key: (key) => app.key(key), paste: (text) => app.paste(text) });
    try {
      app.draw();
      await Promise.race([app.left, gone]);
    } finally {
      process.removeListener('SIGINT', interrupt);
      job.undo();
      undo();
      app.close();
    }
  });

/**
 * Lends the terminal's other screen for as long as `use` takes. `gone` rejects with `cancelled` when the terminal goes away without
 * the signal for it: nobody would ever press a key again.
 */
export const onScreen = async <T>(
  { input, output, env }: Terminal,
  use: (surface: Surface, gone: Promise<never>) => Promise<T>,
): Promise<T> => {
  const surface = new Surface(output, env);
  // Before anybody writes about it: on the other screen nobody would read it.
  const restore = (): void => surface.close();
  process.prependListener('uncaughtException', restore);
  let lost: () => void = () => undefined;
  const gone = new Promise<never>((_, reject) => {
    lost = () => reject(new OptaError('cancelled', 'The terminal has gone'));
  });
  // Whoever does not wait for it is not to be told that nobody does.
  gone.catch(() => undefined);
  input.on('end', lost).on('error', lost);
  output.on('error', lost);
  try {
    return await use(surface, gone);
  } finally {
    surface.close();
    input.removeListener('end', lost).removeListener('error', lost);
    output.removeListener('error', lost);
    process.removeListener('uncaughtException', restore);
  }
};
