import type { Resolved, SourceKind } from './load.ts';

/** Of two that say something, the later one is nearer to whoever started this. */
const NEARNESS: { readonly [kind in SourceKind]: number } = { default: 0, user: 1, project: 2, env: 3, flag: 4 };

/**
 * The key for the configured host. One that is for this host comes before the one for all, unless the latter was said nearer by: in
 * the environment, where the table is of a file. Hosts are compared without case, `name:port` before `name`.
 */
export const hostKey = ({ config, sourceOf }: Resolved, kind: 'apiKey' | 'adminKey'): string | undefined => {
  const { connection } = config;
  const [all, table] = [connection[kind], connection[`${kind}sByHost`] ?? {}];
  const host = connection.host.toLowerCase();
  const names = [`${host}:${connection.port}`, host];
  const found = names.flatMap((name) => Object.entries(table).filter(([of]) => of.toLowerCase() === name))[0]?.[1];
  const near = (key: string): number => NEARNESS[sourceOf(`connection.${key}`).kind];
  return all !== undefined && (found === undefined || near(kind) > near(`${kind}sByHost`)) ? all : found;
};
