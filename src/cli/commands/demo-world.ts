import type { DaemonHttp, InspectedActor } from '../../client/http.ts';
import type { Context } from '../context.ts';
import type { EnsuredDaemon } from '../daemon-process.ts';

/** A daemon of the demo's own: a folder that goes away with it, an engine without a model, nothing beyond loopback. */
export interface DemoWorld {
  ctx: Context;
  http: DaemonHttp;
  daemon: EnsuredDaemon;
  /** Starts it again. */
  start(): Promise<EnsuredDaemon>;
  workspace: string;
  signal: AbortSignal;
  say(text: string): void;
  /** The actors of the session while a permission was open. */
  seen: { asked?: InspectedActor };
}
