import { LIMITS } from '../../actors/limits.ts';
import { type HandlerDeps, named, within } from '../handlers/deps.ts';
import type { SseAnswer } from '../sse.ts';

/**
 * The actors that live now, then what they do. A watcher that is behind is told nothing more: when it has taken what it has, it gets
 * the whole anew ([FD2]).
 */
export const inspectStream = async (deps: HandlerDeps, sessionId: string | null): Promise<SseAnswer> => {
  if (sessionId !== null) {
    await named(
      'Session not found',
      within(deps, (done) => deps.runtime.inspect(sessionId, done)),
    );
  }
  return deps.streams.answer((stream) => {
    let behind = false;
    const inspection = deps.runtime.observe(sessionId, (message) => {
      behind ||= stream.bufferedBytes() > LIMITS.inspectBytesMax;
      if (!behind) stream.message(message);
    });
    const all = (): void => {
      for (const message of inspection.picture()) stream.message(message);
      // Asked once, so that a drain is owed.
      stream.bufferedBytes();
    };
    all();
    return {
      drain: () => {
        if (!behind || stream.bufferedBytes() > 0) return;
        behind = false;
        all();
      },
      closed: () => inspection.end(),
    };
  });
};
