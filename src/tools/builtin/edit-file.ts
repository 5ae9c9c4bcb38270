import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import { readWhole } from '../read-whole.ts';
import { replaceFile } from '../replace-file.ts';
import type { Workspace } from '../workspace.ts';

export interface EditArgs {
  path: string;
  old_text: string;
  new_text: string;
}

/** Replaces the one occurrence of `old_text`, byte for byte ([TL3]); in every other case the file stays as it is. */
export const editFile = (ws: Workspace, args: EditArgs): ToolResult => {
  const slot = ws.slot(args.path, false);
  if (slot.existing === null) throw new OptaError('not-found', `${printable(args.path)} does not exist`);
  const before = readWhole(ws, slot.existing);
  const edit = splice(before, Buffer.from(args.old_text), Buffer.from(args.new_text));
  if (typeof edit === 'string') throw new OptaError('tool-failed', `${printable(slot.rel)}: ${edit}`);
  replaceFile(ws, slot, edit.after, true);
  const result = `Edited ${printable(slot.rel)} at line ${edit.line} (${before.length} -> ${edit.after.length} bytes)`;
  return { result, isError: false };
};

/** The edit law as a pure function: the new content, or why there is none. */
export const splice = (before: Buffer, old: Buffer, next: Buffer): { after: Buffer; line: number } | string => {
  if (old.length === 0) return 'old_text is empty; use write_file to write a whole file';
  const at = before.indexOf(old);
  if (at < 0) return `old_text does not occur${hint(before, old)}; nothing was changed`;
  // Overlapping occurrences count: which one is meant is just as open.
  if (before.indexOf(old, at + 1) >= 0) {
    return `old_text occurs more than once (lines ${linesOf(before, old).join(', ')}); add lines around it until it is unique`;
  }
  const after = Buffer.concat([before.subarray(0, at), next, before.subarray(at + old.length)]);
  return { after, line: lineAt(before, at) };
};

const LF = 0x0a;

const lineAt = (content: Buffer, offset: number): number => {
  let line = 1;
  for (let at = content.indexOf(LF); at >= 0 && at < offset; at = content.indexOf(LF, at + 1)) line++;
  return line;
};

const linesOf = (content: Buffer, text: Buffer): (number | string)[] => {
  const lines: (number | string)[] = [];
  for (let at = content.indexOf(text); at >= 0; at = content.indexOf(text, at + 1)) {
    if (lines.length === 5) return [...lines, '…'];
    lines.push(lineAt(content, at));
  }
  return lines;
};

const hint = (content: Buffer, old: Buffer): string => {
  const crlf = Buffer.from(old.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
  if (content.includes(crlf)) return ' (the file ends its lines with CRLF, old_text with LF)';
  const trimmed = Buffer.from(old.toString('utf8').trim());
  return trimmed.length > 0 && content.includes(trimmed) ? ' (without its outer white space it does)' : '';
};
