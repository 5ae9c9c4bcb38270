import { OptaError } from '../protocol/errors.ts';

export interface Matches {
  /** How the name was found; `none` with no ids. */
  by: 'exact' | 'prefix' | 'substring' | 'token' | 'none';
  ids: string[];
}

const tail = (id: string): string => id.slice(id.lastIndexOf('/') + 1);
const tokensOf = (text: string): string[] => text.split(/[^a-z0-9]+/).filter((token) => token !== '');

/**
 * Models that a person may have meant: the closest kind of likeness that any has, and all that have it. An id also counts without
 * its owner, and case does not, unless it alone tells two apart.
 */
export const matchModels = (wanted: string, ids: readonly string[]): Matches => {
  if (ids.includes(wanted)) return { by: 'exact', ids: [wanted] };
  const name = wanted.trim().toLowerCase();
  const tokens = tokensOf(name);
  const alike: [by: Exclude<Matches['by'], 'none'>, fits: (id: string) => boolean][] = [
    ['exact', (id) => id === name],
    ['exact', (id) => tail(id) === name],
    ['prefix', (id) => id.startsWith(name) || tail(id).startsWith(name)],
    ['substring', (id) => id.includes(name)],
    ['token', (id) => tokens.length > 0 && tokens.every((t) => tokensOf(id).some((own) => own.startsWith(t)))],
  ];
  if (name !== '')
    for (const [by, fits] of alike) {
      const found = ids.filter((id) => fits(id.toLowerCase()));
      if (found.length > 0) return { by, ids: found };
    }
  return { by: 'none', ids: [] };
};

/** Candidates that an error names. */
const NAMED_MAX = 20;

/**
 * The one model that was meant. Throws `invalid-request` with the candidates when there are several, and `not-found` when there is
 * none; `where` ends the sentence: "is loaded".
 */
export const resolveModel = (
  wanted: string,
  ids: readonly string[],
  aliases: { readonly [name: string]: string },
  where: string,
): string => {
  const name = Object.hasOwn(aliases, wanted) ? (aliases[wanted] as string) : wanted;
  const { ids: found } = matchModels(name, [...new Set(ids)]);
  if (found.length === 1) return found[0] as string;
  const known = (found.length > 0 ? found : ids).slice(0, NAMED_MAX);
  if (found.length > 1)
    throw new OptaError('invalid-request', `"${name}" fits ${found.length} models: ${known.join(', ')}`, {
      candidates: known,
    });
  const there = known.length === 0 ? 'there is none' : `there are ${known.join(', ')}`;
  throw new OptaError('not-found', `No model named "${name}" ${where}: ${there}`, { known });
};
