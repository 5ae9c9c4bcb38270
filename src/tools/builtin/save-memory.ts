import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { MEMORY_FILE, type Memory, memoryText } from '../memory-line.ts';
import { readWhole } from '../read-whole.ts';
import { replaceFile } from '../replace-file.ts';
import type { Workspace } from '../workspace.ts';

const HEAD = '# Memory\n\n';

/** Adds one dated line to what is remembered of the workspace ([TL9]). What is there stays as it is, whoever wrote it. */
export const saveMemory = (ws: Workspace, args: Memory, _bounds?: unknown, now = new Date()): ToolResult => {
  const text = memoryText(args);
  const slot = ws.slot(MEMORY_FILE, true);
  const before = slot.existing === null ? '' : readWhole(ws, slot.existing).toString('latin1');
  const bytes = Buffer.from(text).toString('latin1');
  if (before.split('\n').some((line) => DATE.test(line) && line.replace(DATE, '') === bytes))
    return { result: `${MEMORY_FILE} says so already`, isError: false };
  const start = before === '' ? HEAD : before.endsWith('\n') ? before : `${before}\n`;
  const after = Buffer.from(`${start}- ${now.toISOString().slice(0, 10)} ${bytes}\n`, 'latin1');
  // A turn is told no more of it: the newest lines would be the ones that are missing.
  if (after.length > LIMITS.ruleFileBytesMax)
    throw new OptaError(
      'tool-failed',
      `${MEMORY_FILE} would exceed ${LIMITS.ruleFileBytesMax} bytes; what no longer matters can be taken out of it`,
    );
  replaceFile(ws, slot, after, true);
  return { result: `Added a line to ${MEMORY_FILE} (${after.length} bytes)`, isError: false };
};

const DATE = /^- \d{4}-\d\d-\d\d /;
