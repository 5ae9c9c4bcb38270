import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadUws } from '../../src/transport/uws/load-uws.ts';

/** The transport adapters of this build that run on this Node: what a test over all of them goes through. */
export const adapters = (): string[] => {
  const built = ['uws', 'ws'].filter((name) => existsSync(fileURLToPath(new URL(`${name}/adapter.ts`, TRANSPORT))));
  return built.filter((name) => name !== 'uws' || !('reasons' in loadUws()));
};

const TRANSPORT = new URL('../../src/transport/', import.meta.url);

/** The environment in which a daemon runs on this adapter. */
export const transportEnv = (name: string): { [name: string]: string } => ({ OPTA_TRANSPORT: name });
