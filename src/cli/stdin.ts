import { fstatSync } from 'node:fs';
import { OptaError } from '../protocol/errors.ts';
import { UsageError } from './exit.ts';

/** The daemon takes at most this much text in one turn. */
export const TASK_BYTES_MAX = 4 << 20;

/**
 * The task: the words, with `-` standing for standard input; with no words at all, what is piped in.
 * Throws a usage error for a task that is missing (exit 1) or blank (exit 2).
 */
export const readTask = async (words: readonly string[]): Promise<string> => {
  if (words.length === 0) {
    const text = isPiped() ? await readStdin() : '';
    if (text.trim() === '') throw new UsageError("missing required argument 'task'", 1);
    return text;
  }
  const parts: string[] = [];
  for (const word of words) parts.push(word === '-' ? `\n\n${await readStdin()}` : word);
  const task = parts.join(' ').trim();
  if (task === '') throw new UsageError('No task specified');
  if (Buffer.byteLength(task) > TASK_BYTES_MAX) throw tooLarge();
  return task;
};

/** A pipe, a file or a socket: something that was put there on purpose, unlike a terminal or /dev/null. */
const isPiped = (): boolean => {
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isFile() || stat.isSocket();
  } catch {
    // Standard input is closed.
    return false;
  }
};

const readStdin = async (): Promise<string> => {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of process.stdin) {
    bytes += (part as Buffer).length;
    if (bytes > TASK_BYTES_MAX) throw tooLarge();
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString('utf8');
};

const tooLarge = (): OptaError =>
  new OptaError('payload-too-large', `The task is larger than ${TASK_BYTES_MAX >> 20} MiB`);
