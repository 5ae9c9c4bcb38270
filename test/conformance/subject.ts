import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Daemon, newHome, startDaemon, stateFile } from '../support/daemon.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import type { Need } from './format.ts';
import type { Subject } from './play.ts';
import type { Place } from './wire.ts';

export interface OpenSubject extends Subject {
  /** What vectors may ask for here. */
  has: Need[];
  close(): Promise<void>;
}

/** A daemon of our own on loopback, over the scripted model. `env` reaches the daemon. */
export const ownSubject = async (env: { [name: string]: string } = {}): Promise<OpenSubject> => {
  const lmx = await startFakeLmx();
  const [home, workspace] = [newHome(), mkdtempSync(join(tmpdir(), 'opta-conf-work-'))];
  const start = (): Promise<Daemon> => startDaemon({ home, lmxPort: lmx.port, env });
  let daemon: Daemon | null = null;
  const close = async (): Promise<void> => {
    await daemon?.dispose();
    await lmx.close();
    for (const folder of [home, workspace]) rmSync(folder, { recursive: true, force: true });
  };
  try {
    daemon = await start();
    let place = placeOf(daemon);
    return {
      has: ['model', 'restart', ...(place.observerToken === undefined ? [] : (['observer-token'] as const))],
      place: () => place,
      workspace,
      restart: async () => {
        await daemon?.kill9();
        daemon = await start();
        place = placeOf(daemon);
      },
      close,
    };
  } catch (cause) {
    await close();
    throw cause;
  }
};

/** As a client finds it: from the daemon's own state file. */
const placeOf = (daemon: Daemon): Place => {
  const { observerToken } = JSON.parse(readFileSync(stateFile(daemon.home), 'utf8')) as { observerToken?: string };
  return { url: daemon.url, token: daemon.token, ...(observerToken === undefined ? {} : { observerToken }) };
};

export interface RunningDaemon extends Place {
  /** The port at which that daemon expects its inference server; the scripted model is started there. */
  modelPort?: number;
}

/** A daemon that somebody else has started. */
export const foreignSubject = async ({ modelPort, ...place }: RunningDaemon): Promise<OpenSubject> => {
  const lmx = modelPort === undefined ? null : await startFakeLmx({ port: modelPort });
  const workspace = mkdtempSync(join(tmpdir(), 'opta-conf-work-'));
  return {
    has: [
      ...(lmx === null ? [] : (['model'] as const)),
      ...(place.observerToken === undefined ? [] : (['observer-token'] as const)),
    ],
    place: () => place,
    workspace,
    close: async () => {
      await lmx?.close();
      rmSync(workspace, { recursive: true, force: true });
    },
  };
};
