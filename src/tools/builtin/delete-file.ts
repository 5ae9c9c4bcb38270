import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import { removeFile } from '../replace-file.ts';
import type { Workspace } from '../workspace.ts';

/** Deletes one file, and nothing that is not a plain file: no folder, and of a link what it stands for inside the workspace. */
export const deleteFile = (ws: Workspace, args: { path: string }): ToolResult => {
  const slot = ws.slot(args.path, false);
  if (slot.existing === null) throw new OptaError('not-found', `${printable(args.path)} does not exist`);
  const { size } = slot.existing.node.stat;
  removeFile(ws, slot);
  return { result: `Deleted ${printable(slot.rel)} (${size} bytes)`, isError: false };
};
