import type { AnyActorRef } from 'xstate';

/**
 * Stops an actor and everything below it, children first. XState leaves the children of an actor that threw running, so a
 * crashed session's tools and streams would outlive it; `stop()` refuses on children, hence the internal `_stop`, which is used
 * nowhere else and has a test of its own.
 */
export const halt = (actor: AnyActorRef): void => {
  const snapshot = actor.getSnapshot() as { children?: { [id: string]: AnyActorRef | undefined } } | undefined;
  for (const child of Object.values(snapshot?.children ?? {})) if (child) halt(child);
  (actor as unknown as { _stop(): void })._stop();
};
