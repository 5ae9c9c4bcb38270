import type { Clock, Inference, LmxAdmin, Log } from '../actors/ports.ts';
import { systemClock } from './clock.ts';
import { createDemo } from './demo.ts';
import { createLmx } from './lmx.ts';
import { createLmxAdmin } from './lmx-admin.ts';

/**
 * The engine that the configuration names, and no other: a script never gets an answer from something that is not the model it
 * asked for.
 */
export type EngineConfig =
  | { engine: 'demo'; paceMs?: number }
  | {
      engine: 'lmx';
      host: string;
      port: number;
      loopbackOnly: boolean;
      apiKey?: string;
      trusted?: boolean;
      adminKey?: string;
      maxTokens?: number;
      /** Servers that stand in for this one, each with its own key. */
      fallbacks?: { host: string; port: number; apiKey?: string }[];
    };

export type EngineStatus = { engine: 'demo' | 'lmx'; [fact: string]: unknown };

export type Engine = Inference & { close(): void; status(): EngineStatus };

/** Opens nothing by itself: the first request does. */
export const createInference = (config: EngineConfig, world: { log: Log; clock?: Clock }): Engine => {
  const clock = world.clock ?? systemClock;
  if (config.engine === 'lmx') {
    const { fallbacks = [], loopbackOnly, trusted, ...own } = config;
    const shared = { loopbackOnly, ...(trusted === undefined ? {} : { trusted }) };
    const others = fallbacks.map((server) => ({ ...shared, ...server }));
    const lmx = createLmx({ ...own, ...shared, fallbacks: others, log: world.log, clock });
    return { ...lmx, status: () => ({ ...lmx.status() }) };
  }
  const demo = createDemo({ clock, ...(config.paceMs === undefined ? {} : { paceMs: config.paceMs }) });
  return { ...demo, status: () => ({ engine: 'demo', model: 'demo' }) };
};

/** The administration of the configured LMX; null when the engine is none. */
export const createAdmin = (config: EngineConfig, world: { log: Log; clock?: Clock }): LmxAdmin | null =>
  config.engine === 'lmx' ? createLmxAdmin({ ...config, ...world }) : null;
