import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import { readWhole } from '../read-whole.ts';
import { replaceFile } from '../replace-file.ts';
import type { Workspace } from '../workspace.ts';
import { splice } from './edit-file.ts';

export interface MultiEditArgs {
  path: string;
  edits: { old_text: string; new_text: string }[];
}

/** Several edits of one file, each of what the one before it left, under the law of one ([TL3]): all of them, or the file stays as it is. */
export const multiEdit = (ws: Workspace, args: MultiEditArgs): ToolResult => {
  const slot = ws.slot(args.path, false);
  if (slot.existing === null) throw new OptaError('not-found', `${printable(args.path)} does not exist`);
  const before = readWhole(ws, slot.existing);
  let content = before;
  const lines: number[] = [];
  for (const [i, { old_text, new_text }] of args.edits.entries()) {
    const edit = splice(content, Buffer.from(old_text), Buffer.from(new_text));
    if (typeof edit === 'string')
      throw new OptaError('tool-failed', `${printable(slot.rel)}: edit ${i + 1} of ${args.edits.length}: ${edit}`);
    content = edit.after;
    lines.push(edit.line);
  }
  replaceFile(ws, slot, content, true);
  const many = args.edits.length;
  const where = `line${many === 1 ? '' : 's'} ${lines.slice(0, 10).join(', ')}${many > 10 ? ' …' : ''}`;
  const result = `Edited ${printable(slot.rel)} in ${many} place${many === 1 ? '' : 's'}, at ${where} (${before.length} -> ${content.length} bytes)`;
  return { result, isError: false };
};
