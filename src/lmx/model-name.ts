import { LmxError } from './errors.ts';

const tail = (id: string): string => id.slice(id.lastIndexOf('/') + 1).toLowerCase();

/**
 * The id that a name means, or null. `auto` is the default, else the first in order; else an exact id, the same but for case, or the
 * only one whose last part it is. Never a part of a name: a 7B is not a 70B. Throws `invalid_request` when several fit.
 */
export const modelNamed = (name: string, ids: readonly string[], byDefault: string | null): string | null => {
  if (name === 'auto') return byDefault !== null && ids.includes(byDefault) ? byDefault : ([...ids].sort()[0] ?? null);
  if (ids.includes(name)) return name;
  for (const alike of [
    (id: string) => id.toLowerCase() === name.toLowerCase(),
    (id: string) => tail(id) === tail(name),
  ]) {
    const fits = ids.filter(alike);
    if (fits.length > 1)
      throw new LmxError('invalid_request', `The model name ${JSON.stringify(name)} fits several: ${fits.join(', ')}`, {
        param: 'model',
      });
    if (fits[0] !== undefined) return fits[0];
  }
  return null;
};
