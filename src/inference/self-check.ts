import { systemClock } from './clock.ts';
import type { EngineConfig } from './engines.ts';
import { LmxEndpoint } from './lmx-endpoint.ts';
import { chooseModel } from './model-match.ts';
import { placeOf } from './probe.ts';

/** What `doctor` is told of the configured engine. `code` is that of the failure, if there is one. */
export interface InferenceCheck {
  place: string;
  ok: boolean;
  message: string;
  code?: string;
  /** Null when the server does not say. */
  models: string[] | null;
}

/**
 * Asks the configured server who it is and what it has loaded, by the same rules as before a prompt: nothing beyond loopback is
 * contacted under the guard ([IN1]), and a key goes only to a server that may have prompts ([IN2]).
 */
export const checkInference = (config: EngineConfig, model: string): Promise<InferenceCheck> => {
  if (config.engine === 'demo')
    return Promise.resolve({
      place: 'in this process',
      ok: true,
      message: 'the demo engine: fixed rules, no model',
      models: ['demo'],
    });
  const place = placeOf(config);
  const endpoint = new LmxEndpoint(config, systemClock);
  return new Promise((resolve) => {
    const failed = (error: { message: string; code: string }, models: string[] | null = null): void =>
      resolve({ place, ok: false, message: error.message, code: error.code, models });
    endpoint.identify((error, found) => {
      if (error || !found) return failed(error ?? { message: `${place} said nothing`, code: 'lmx-protocol' });
      endpoint.models((error, models) => {
        if (error) return failed(error);
        const what = found.kind === 'lmx' ? 'an Opta LMX' : 'an OpenAI-compatible server';
        try {
          const chosen = chooseModel(model, models, found.kind === 'lmx');
          resolve({ place, ok: true, message: `${what}; new sessions use ${chosen}`, models });
        } catch (cause) {
          failed(cause as { message: string; code: string }, models);
        }
      });
    });
  });
};
