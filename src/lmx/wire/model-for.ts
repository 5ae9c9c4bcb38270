import { LmxError } from '../errors.ts';
import type { Gateway } from '../gateway.ts';

/** The id that a request's model means. Throws `model_not_found` or, when several fit, `invalid_request`. */
export const modelFor = (gateway: Gateway, name: string): string => {
  const found = gateway.resolve(name === '' ? 'auto' : name);
  if (found) return found.id;
  const loaded = gateway.models().map((m) => m.id);
  const have = loaded.length === 0 ? 'No model is loaded.' : `Loaded: ${loaded.slice(0, 5).join(', ')}.`;
  const what =
    name === '' || name === 'auto' ? 'There is no model to answer' : `The model ${JSON.stringify(name)} is not loaded`;
  throw new LmxError('model_not_found', `${what}. ${have}`, { param: 'model' });
};
