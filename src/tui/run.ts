import { App } from './app.ts';
import type { Host } from './host.ts';
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
export const runTui = async (host: Host, sessionId: string, { input, output, env }: Terminal): Promise<void> => {
  const surface = new Surface(output, env);
  let undo: () => void = () => undefined;
  let app: App | undefined;
  // Before anybody writes about it: on the other screen nobody would read it.
  const restore = (): void => surface.close();
  process.prependListener('uncaughtException', restore);
  const interrupt = (): void => app?.interrupt();
  process.on('SIGINT', interrupt);
  try {
    // To the shell, as a key does it: the whole group stops, and the shell says when it goes on.
    const suspend = (): void => {
      surface.leave();
      input.setRawMode?.(false);
      process.once('SIGCONT', () => {
        input.setRawMode?.(true);
        surface.enter();
        app?.draw();
      });
      process.kill(0, 'SIGTSTP');
    };
    const shown = new App(host, Object.assign(surface, { suspend }), sessionId);
    app = shown;
    surface.onResize(() => shown.draw());
    undo = listenKeys(input, { key: (key) => shown.key(key), paste: (text) => shown.paste(text) });
    shown.draw();
    await shown.left;
  } finally {
    process.removeListener('SIGINT', interrupt);
    undo();
    app?.close();
    surface.close();
    process.removeListener('uncaughtException', restore);
  }
};
