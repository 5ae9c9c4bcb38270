import type { Resolved, SourceKind } from './load.ts';

/** Of two that say something, the later one is nearer to whoever started this. */
const NEARNESS: { readonly [kind in SourceKind]: number } = { default: 0, user: 1, project: 2, env: 3, flag: 4 };

type Kind = 'apiKey' | 'adminKey';

/**
 * The key for the configured host. One that is for this host comes before the one for all, unless the latter was said nearer by: in
 * the environment, where the table is of a file.
 */
export const hostKey = (settings: Resolved, kind: Kind): string | undefined => {
  const { connection } = settings.config;
  const all = connection[kind];
  const found = keyOfHost(settings, kind, connection);
  const near = (key: string): number => NEARNESS[settings.sourceOf(`connection.${key}`).kind];
  return all !== undefined && (found === undefined || near(kind) > near(`${kind}sByHost`)) ? all : found;
};

/** What the table has for a host. Hosts are compared without case, `name:port` before `name`. */
export const keyOfHost = (
  { config }: Resolved,
  kind: Kind,
  place: { host: string; port: number },
): string | undefined => {
  const table = config.connection[`${kind}sByHost`] ?? {};
  const host = place.host.toLowerCase();
  const names = [`${host}:${place.port}`, host];
  return names.flatMap((name) => Object.entries(table).filter(([of]) => of.toLowerCase() === name))[0]?.[1];
};
