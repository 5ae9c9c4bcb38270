import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

export type Uws = typeof import('uWebSockets.js');

export interface LoadedUws {
  uws: Uws;
  why: string;
}

export interface Platform {
  platform: string;
  arch: string;
  /** `process.versions.modules`. */
  abi: string;
  /** `process.versions.node`. */
  node: string;
}

const here = (): Platform => {
  const { modules, node } = process.versions;
  return { platform: process.platform, arch: process.arch, abi: modules, node };
};

/**
 * Finds a uWebSockets.js that runs here. An official one that the user installed comes first; then the npm build, whose native
 * file is loaded directly: its `main` falls back to a JavaScript stub that throws in the middle of use, and it pulls in an old `ws`.
 *
 * `from` is the module whose `node_modules` are searched. On failure the answer says what was tried and why each try failed.
 */
export const loadUws = (from = import.meta.url, on = here()): LoadedUws | { reasons: string[] } => {
  const require = createRequire(from);
  const reasons: string[] = [];
  for (const name of ['uWebSockets.js', '@trufflesuite/uws-js-unofficial']) {
    try {
      return loadPackage(require, name, on);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      reasons.push(`${name} ${text.split('\n')[0]}`);
    }
  }
  return { reasons };
};

export const NOT_INSTALLED = 'is not installed';

const isMissing = (error: unknown): boolean => (error as { code?: string }).code === 'MODULE_NOT_FOUND';

const manifestOf = (require: NodeJS.Require, name: string): string => {
  try {
    return require.resolve(`${name}/package.json`);
  } catch (error) {
    throw isMissing(error) ? new Error(NOT_INSTALLED) : error;
  }
};

const loadPackage = (require: NodeJS.Require, name: string, on: Platform): LoadedUws => {
  const manifestPath = manifestOf(require, name);
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as { name?: string; version?: string };
  const label = `${manifest.name ?? name} ${manifest.version ?? '(no version)'}`;
  const forWhat = `node ${on.node.split('.')[0]} on ${on.platform} ${on.arch}`;
  if (!/unofficial/.test(`${manifest.name} ${manifest.version}`)) {
    return checked(load(require, name, `is not complete for ${forWhat}`), `${label}, loads on node ABI ${on.abi}`);
  }
  const file = `uws_${on.platform}_${on.arch}_${on.abi}.node`;
  const native = join(dirname(manifestPath), 'binaries', file);
  return checked(load(require, native, `has no binary for ${forWhat} (${file})`), `${label}, native file ${file}`);
};

const load = (require: NodeJS.Require, target: string, missing: string): unknown => {
  try {
    return require(target);
  } catch (error) {
    if (isMissing(error)) throw new Error(missing);
    // The path of a file says nothing to the reader; the file's name and the loader's words do.
    const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new Error(`does not load: ${text.replaceAll(target, basename(target))}`);
  }
};

/** A module that loads and lacks what the adapter calls is as useless as one that does not load. */
const checked = (module: unknown, why: string): LoadedUws => {
  const uws = module as Uws;
  for (const name of ['App', 'us_listen_socket_close', 'us_socket_local_port'] as const) {
    if (typeof uws?.[name] !== 'function') throw new Error(`lacks ${name}()`);
  }
  return { uws, why };
};
