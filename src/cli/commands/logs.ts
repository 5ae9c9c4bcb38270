import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHUNK_BYTES, lastLines, type Place, parseLine } from '../../operations/daemon-log.ts';
import type { Context } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import { colour, oneLine } from '../output.ts';

const FOLLOW_EVERY_MS = 200;

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
  const { data, ...beside } = entry;
  const inside =
    typeof data === 'object' && data !== null && !Array.isArray(data) ? data : data === undefined ? {} : { data };
  const facts = Object.entries({ ...beside, ...inside })
    .filter(([name]) => !KNOWN.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const tint = level === 'error' || level === 'fatal' ? colour.red : level === 'warn' ? colour.yellow : colour.dim;
  return oneLine(
    `${String(when ?? '')} ${level.padEnd(5)} ${String(entry.msg ?? '')} ${facts.join(' ')}`,
    2_000,
  ).replace(level, tint(level));
};
