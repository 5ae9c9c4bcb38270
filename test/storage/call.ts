import type { Done } from '../../src/actors/ports.ts';

/** A port's callback as a promise. */
export const call = <T>(ask: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => ask((error, value) => (error ? reject(error) : resolve(value))));

/** The error's code, or `ok`. */
export const codeOf = <T>(ask: (done: Done<T>) => void): Promise<string> =>
  new Promise((resolve) => ask((error) => resolve(error?.code ?? 'ok')));
