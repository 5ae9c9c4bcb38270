import { LIMITS } from '../../actors/limits.ts';
import type { RuntimeHealth } from '../../actors/runtime.ts';
import { CAPABILITIES, CONTRACT } from '../../protocol/envelope.ts';
import type { SseAnswer, SseStream } from '../sse.ts';
import type { HandlerDeps } from './deps.ts';

/** Since the process began. */
export const uptimeSeconds = (): number => Math.floor(process.uptime());

/** What `/v3/health` and its stream say. */
export const healthBody = (deps: HandlerDeps) => {
  const { runtime, version, transport } = deps;
  const health = runtime.health();
  return {
    status: health.state === 'ready' ? 'ok' : health.state,
    version,
    daemonId: runtime.daemonId,
    uptime: uptimeSeconds(),
    contract: CONTRACT,
    features: [...CAPABILITIES],
    runtime: runtimeFacts(deps, health),
    state: health.state,
    quarantined: health.quarantined,
    transport,
    engine: deps.facts().engine,
    storage: health.storage,
  };
};

export const runtimeFacts = (deps: HandlerDeps, health: RuntimeHealth) => ({
  sessionCount: health.sessionCount,
  activeTurnCount: health.activeTurnCount,
  queuedTurnCount: health.queuedTurnCount,
  subscriberCount: health.subscriberCount,
  ingressSeq: health.ingressSeq,
  toolWorkers: deps.facts().toolWorkers,
  latency: deps.latency.facts(),
});

interface Told {
  print: string;
  atMs: number;
}

/**
 * Health for whoever watches. One look serves all streams, and none is taken while there is none. A stream that has bytes to take
 * is passed over: later it gets the newest state, and nothing piles up.
 */
export const healthStream = (deps: HandlerDeps): (() => SseAnswer) => {
  const watching = new Map<SseStream, Told>();
  let timer: unknown = null;

  const tell = (stream: SseStream, body: ReturnType<typeof healthBody>, print: string): void => {
    const atMs = deps.now();
    watching.set(stream, { print, atMs });
    stream.message(JSON.stringify({ ...body, ts: atMs }));
  };
  const look = (): void => {
    timer = deps.timers.setTimeout(look, LIMITS.healthStreamLookMs);
    const body = healthBody(deps);
    const print = printOf(body);
    for (const [stream, told] of watching) {
      const due = print !== told.print || deps.now() - told.atMs >= LIMITS.healthStreamEveryMs;
      if (due && stream.bufferedBytes() === 0) tell(stream, body, print);
    }
  };

  return () =>
    deps.streams.answer((stream) => {
      const body = healthBody(deps);
      tell(stream, body, printOf(body));
      timer ??= deps.timers.setTimeout(look, LIMITS.healthStreamLookMs);
      return {
        drain: () => undefined,
        closed: () => {
          watching.delete(stream);
          if (watching.size > 0) return;
          deps.timers.clearTimeout(timer);
          timer = null;
        },
      };
    });
};

/** What a person would care about: not the figures that move with every request. */
const printOf = (body: ReturnType<typeof healthBody>): string =>
  JSON.stringify({ ...body, uptime: null, runtime: { ...body.runtime, latency: null, ingressSeq: null } });
