import { hostname } from 'node:os';
import { OptaError } from '../protocol/errors.ts';
import type { Env } from './paths.ts';
import type { Config, HostRole } from './schema.ts';

/**
 * What the machine on which this runs may do ([HP1]). A client-only host never hosts inference and never stores model files;
 * an inference host does. Who is refused is told which policy said so, on which host, and which hosts may do it.
 */
export interface HostPolicy {
  /** This machine's name without its domain. */
  host: string;
  role: HostRole;
  /** What decided the role: a configuration key, the built-in table, or nothing. */
  why: string;
  /** Hosts that may run inference and hold models, as far as the tables name any. */
  inferenceHosts: string[];
  /** Whether models of a remote inference host may be loaded, unloaded, downloaded and deleted from here. */
  remoteAdmin: boolean;
}

/** The owner's hosts. `hostPolicy.hosts` adds to this table and overrides it. */
const HOSTS: { readonly [name: string]: HostRole } = { Opta48: 'client', Mono512: 'inference' };

/** `Opta48.local` and `opta48` are one host: case and domain do not count. */
const bare = (name: string): string => name.trim().split('.')[0] ?? '';
const key = (name: string): string => bare(name).toLowerCase();

/** `OPTA_HOST_NAME` stands for the machine's own name. A host that no table knows may do anything. */
export const hostPolicyOf = (
  config: Pick<Config, 'hostPolicy'>,
  env: Env = process.env,
  name: string = hostname(),
): HostPolicy => {
  const { role, hosts = {}, remoteAdmin } = config.hostPolicy;
  const host = bare(env.OPTA_HOST_NAME || name) || 'unknown';
  const table = new Map<string, { name: string; role: HostRole; why: string }>();
  for (const [name, role] of Object.entries(HOSTS)) table.set(key(name), { name, role, why: 'the built-in table' });
  for (const [name, row] of Object.entries(hosts))
    table.set(key(name), { name: bare(name), role: row.role, why: `hostPolicy.hosts.${name}` });
  const row = table.get(key(host));
  const decided = role ?? row?.role ?? 'any';
  return {
    host,
    role: decided,
    why: role !== undefined ? 'hostPolicy.role' : (row?.why ?? 'no rule names this host'),
    inferenceHosts: [...table.values()]
      .filter((r) => r.role === 'inference' && key(r.name) !== key(host))
      .map((r) => r.name),
    remoteAdmin: remoteAdmin ?? decided !== 'client',
  };
};

export const mayHostInference = (policy: HostPolicy): boolean => policy.role !== 'client';

/**
 * To be called before anything is opened or written by whatever runs a model here, serves inference from here, or fetches or
 * keeps a model file. Throws `host-policy`. `what` begins the sentence: "Serving inference".
 */
export const requireLocalInference = (policy: HostPolicy, what: string): void => {
  if (mayHostInference(policy)) return;
  throw refused(policy, `${what} is refused: the host policy says that ${policy.host} is client-only (${policy.why})`);
};

/**
 * Whether models on a remote inference host may be loaded, unloaded, downloaded or deleted from here. Reading, and choosing
 * among what is loaded, is free.
 */
export const mayAdminister = (policy: HostPolicy): boolean => policy.remoteAdmin;

/** The same as a gate. Throws `host-policy`. `what` begins the sentence: "Loading a model". */
export const requireRemoteAdmin = (policy: HostPolicy, what: string): void => {
  if (mayAdminister(policy)) return;
  const allow = 'Where it is meant: opta config set hostPolicy.remoteAdmin true';
  throw refused(policy, `${what} is refused from ${policy.host}, since hostPolicy.remoteAdmin is not set`, allow);
};

/** No model file is named on a client-only host, whatever the key. Throws `host-policy`. */
export const refuseModelFiles = (policy: HostPolicy, config: unknown): void => {
  const named = modelFileIn(config, []);
  if (named !== null) requireLocalInference(policy, `The model file of ${named}`);
};

/** The key that holds a path to a model file, or null. */
const modelFileIn = (value: unknown, path: readonly string[]): string | null => {
  if (typeof value === 'string') return /\.gguf$/i.test(value.trim()) ? path.join('.') : null;
  if (typeof value !== 'object' || value === null) return null;
  for (const [name, inner] of Object.entries(value)) {
    const found = modelFileIn(inner, [...path, name]);
    if (found !== null) return found;
  }
  return null;
};

const refused = (policy: HostPolicy, what: string, more?: string): OptaError => {
  const { host, role, inferenceHosts } = policy;
  const where = inferenceHosts.length === 0 ? 'No host is named that may' : `Allowed on: ${inferenceHosts.join(', ')}`;
  return new OptaError('host-policy', `${what}. ${where}.${more === undefined ? '' : ` ${more}`}`, {
    policy: 'host-policy',
    host,
    role,
    allowedHosts: inferenceHosts,
  });
};
