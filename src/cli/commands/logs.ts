import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import { colour, oneLine } from '../output.ts';

export const LOG_LINES_DEFAULT = 200;
const FOLLOW_EVERY_MS = 200;
const CHUNK_BYTES = 64 * 1024;

export const logsCommand = async (
  ctx: Context,
  options: { json?: boolean; lines: number; follow?: boolean },
): Promise<number> => {
  if (options.json && options.follow) throw new UsageError('--json is one array, which never ends with --follow');
  const file = ctx.paths.logFile;
  const { lines, end } = lastLines(file, options.lines, options.follow === true);
  if (options.json) {
    ctx.output.pretty(lines.map(parseLine));
    return EXIT.ok;
  }
  if (lines.length === 0 && !options.follow) ctx.output.err(`No log yet: ${file}\n`);
  for (const line of lines) ctx.output.out(`${formatLine(line)}\n`);
  return options.follow ? follow(ctx, file, end) : EXIT.ok;
};

/** How far a file was read, and which file that was. */
interface Place {
  size: number;
  id: number;
}

/**
 * The last `count` lines, read from the end: a log of gigabytes costs no more than its tail. With `whole`, a last line that
 * is still being written is left for later; `end` is where reading goes on, so that nothing falls between the two.
 */
const lastLines = (file: string, count: number, whole: boolean): { lines: string[]; end: Place } => {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { lines: [], end: { size: 0, id: 0 } };
    throw cause;
  }
  try {
    const { size, ino } = fstatSync(fd);
    const tail = tailOf(fd, size, count);
    const partial = whole ? tail.length - (tail.lastIndexOf(10) + 1) : 0;
    const lines = tail.toString('utf8', 0, tail.length - partial).split('\n');
    // The first one is cut unless the file was read to its beginning.
    if (tail.length < size) lines.shift();
    return { lines: lines.filter((line) => line.trim() !== '').slice(-count), end: { size: size - partial, id: ino } };
  } finally {
    closeSync(fd);
  }
};

/** The end of the file, from its beginning or from before the last `count` line ends. */
const tailOf = (fd: number, size: number, count: number): Buffer => {
  const chunks: Buffer[] = [];
  let newlines = 0;
  for (let at = size; at > 0 && newlines <= count; ) {
    const take = Math.min(CHUNK_BYTES, at);
    const chunk = Buffer.alloc(take);
    readSync(fd, chunk, 0, take, at - take);
    at -= take;
    newlines += chunk.reduce((n, byte) => (byte === 10 ? n + 1 : n), 0);
    chunks.unshift(chunk);
  }
  return Buffer.concat(chunks);
};

const parseLine = (line: string): unknown => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : { raw: line };
  } catch {
    return { raw: line };
  }
};

/** Until Ctrl-C, or until nobody reads any more. A log that is rotated or cut is followed from its new beginning. */
const follow = async (ctx: Context, file: string, from: Place): Promise<number> => {
  let stopped = false;
  const stop = (): void => {
    stopped = true;
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  let at = from;
  let rest = '';
  const decoder = new TextDecoder();
  while (!stopped && !ctx.output.closed) {
    const now = sizeAndId(file);
    if (now.id !== at.id || now.size < at.size) at = { id: now.id, size: 0 };
    while (at.size < now.size && !stopped) {
      const chunk = readAt(file, at.size, Math.min(CHUNK_BYTES, now.size - at.size));
      if (chunk.length === 0) break;
      at = { id: now.id, size: at.size + chunk.length };
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') ctx.output.out(`${formatLine(line)}\n`);
      await ctx.output.flush();
    }
    await sleep(FOLLOW_EVERY_MS);
  }
  return stopped ? EXIT.interrupted : EXIT.ok;
};

const sizeAndId = (file: string): Place => {
  try {
    const { size, ino } = statSync(file);
    return { size, id: ino };
  } catch {
    return { size: 0, id: 0 };
  }
};

const readAt = (file: string, at: number, bytes: number): Buffer => {
  const fd = openSync(file, 'r');
  try {
    const chunk = Buffer.alloc(bytes);
    return chunk.subarray(0, readSync(fd, chunk, 0, bytes, at));
  } finally {
    closeSync(fd);
  }
};

const LEVELS: { [level: string]: string } = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
const KNOWN = new Set(['ts', 'time', 'level', 'msg', 'pid', 'hostname', 'daemonId', 'v']);

const formatLine = (line: string): string => {
  const entry = parseLine(line) as { [field: string]: unknown };
  if ('raw' in entry) return oneLine(line, 2_000);
  const when = entry.ts ?? (typeof entry.time === 'number' ? new Date(entry.time).toISOString() : entry.time);
  const level = LEVELS[String(entry.level)] ?? String(entry.level ?? '');
  const facts = Object.entries(entry)
    .filter(([name]) => !KNOWN.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const tint = level === 'error' || level === 'fatal' ? colour.red : level === 'warn' ? colour.yellow : colour.dim;
  return oneLine(
    `${String(when ?? '')} ${level.padEnd(5)} ${String(entry.msg ?? '')} ${facts.join(' ')}`,
    2_000,
  ).replace(level, tint(level));
};
