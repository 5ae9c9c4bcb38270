import type { ToolResult } from '../../actors/ports.ts';
import { printable } from '../outcome.ts';
import { replaceFile } from '../replace-file.ts';
import type { Workspace } from '../workspace.ts';

export const writeFile = (ws: Workspace, args: { path: string; content: string }): ToolResult => {
  const content = Buffer.from(args.content);
  const slot = ws.slot(args.path, true);
  replaceFile(ws, slot, content, false);
  const verb = slot.existing ? 'Replaced' : 'Created';
  return { result: `${verb} ${printable(slot.rel)} (${content.length} bytes)`, isError: false };
};
