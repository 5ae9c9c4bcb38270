import { statSync } from 'node:fs';
import type { Config } from './schema.ts';

/**
 * The default model as the configuration says it now, so that a choice reaches a daemon that runs. The file is read when its stamp
 * has changed; while it cannot be understood, what was chosen before holds. So it does while the file names another host than the one
 * that the daemon was started with: a model of that one is none of this one's ([CF7]).
 */
export const currentModel = (file: string, load: () => Config): (() => string) => {
  let stamp = stampOf(file);
  const started = load();
  let model = started.model.default;
  return () => {
    const now = stampOf(file);
    if (now === stamp) return model;
    stamp = now;
    try {
      const next = load();
      if (placeOf(next) === placeOf(started)) model = next.model.default;
    } catch {
      // Whoever changes it is told what is wrong with it.
      return model;
    }
    return model;
  };
};

const placeOf = ({ engine, connection }: Config): string => `${engine} ${connection.host}:${connection.port}`;

/** A file is replaced in one step, so that each version is an inode of its own. */
const stampOf = (file: string): string => {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino}:${stat.mtimeMs}:${stat.size}`;
};
