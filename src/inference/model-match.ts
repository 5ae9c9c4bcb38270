import { OptaError } from '../protocol/errors.ts';

/** Names that an Opta LMX server resolves by itself and does not list. */
const SERVER_SIDE = /^(auto|code|reasoning|chat|preset:.+)$/;

const tail = (id: string): string => id.slice(id.lastIndexOf('/') + 1).toLowerCase();

/**
 * The name to send. `listed` is null when the server did not say what is loaded. Throws `no-model-loaded`, with the loaded
 * names in its facts. Never matches by substring: a 7B is not a 70B.
 */
export const chooseModel = (wanted: string, listed: string[] | null, serverIsLmx: boolean): string => {
  if (wanted === '') {
    const first = listed?.[0];
    if (first === undefined)
      throw new OptaError('no-model-loaded', 'No model is loaded on the inference server.', { loaded: [] });
    return first;
  }
  if (listed === null || listed.includes(wanted) || (serverIsLmx && SERVER_SIDE.test(wanted))) return wanted;
  for (const alike of [
    (id: string) => id.toLowerCase() === wanted.toLowerCase(),
    (id: string) => tail(id) === tail(wanted),
    (id: string) => id.toLowerCase() === `${wanted.toLowerCase()}:latest`,
  ]) {
    const found = listed.filter(alike);
    if (found.length === 1) return found[0] as string;
    if (found.length > 1)
      throw missing(`The model name "${wanted}" fits several loaded models: ${found.join(', ')}.`, listed);
  }
  const names = listed.length === 0 ? 'none' : listed.slice(0, 5).join(', ');
  throw missing(`The model "${wanted}" is not loaded. Loaded: ${names}.`, listed);
};

const missing = (message: string, listed: string[]): OptaError =>
  new OptaError('no-model-loaded', message, { loaded: listed.slice(0, 50) });
