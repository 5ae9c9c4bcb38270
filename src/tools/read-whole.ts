import * as fs from 'node:fs';
import { LIMITS } from '../actors/limits.ts';
import { OptaError } from '../protocol/errors.ts';
import { printable } from './outcome.ts';
import { type Entry, fromSystem, type Workspace } from './workspace.ts';

/** Throws for a file above the bound, or one that grows above it while it is read. */
export const readWhole = (ws: Workspace, entry: Entry): Buffer => {
  if (entry.node.stat.size > LIMITS.toolEditBytesMax) {
    throw new OptaError('tool-failed', `${printable(entry.rel)} is larger than ${LIMITS.toolEditBytesMax} bytes`);
  }
  const fd = ws.open(entry);
  try {
    const content = fs.readFileSync(fd);
    if (content.length <= LIMITS.toolEditBytesMax) return content;
    throw new OptaError('tool-failed', `${printable(entry.rel)} grew while it was read`);
  } catch (error) {
    throw fromSystem(error, entry.rel);
  } finally {
    fs.closeSync(fd);
  }
};
