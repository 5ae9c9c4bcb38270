import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DaemonHttp } from '../../client/http.ts';
import { exportRecord } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import type { Output } from '../output.ts';

const FORMATS = ['json', 'jsonl', 'markdown'] as const;
type Format = (typeof FORMATS)[number];

export interface ExportOptions {
  json?: boolean;
  format?: string;
  output?: string;
}

/**
 * `json` is the record that scripts know, the others are the daemon's own: the event log, and a text for people. To stdout, or
 * to a file, which is there only when all of it is.
 */
export const exportSession = async (
  ctx: Context,
  http: DaemonHttp,
  id: string,
  options: ExportOptions,
): Promise<number> => {
  const format = formatOf(options.format ?? 'json');
  if (options.output === undefined) {
    await toStdout(ctx.output, textOf(http, id, format));
    return EXIT.ok;
  }
  const file = resolve(ctx.cwd, options.output);
  const bytes = await toFile(file, textOf(http, id, format));
  if (options.json) ctx.output.pretty({ id, format, file, bytes });
  else ctx.output.err(`${bytes} bytes written to ${file}\n`);
  return EXIT.ok;
};

const formatOf = (text: string): Format => {
  const format = FORMATS.find((name) => name === text || (name === 'markdown' && text === 'md'));
  if (format === undefined) throw new UsageError(`Unknown format "${text}": ${FORMATS.join(', ')}`);
  return format;
};

async function* textOf(http: DaemonHttp, id: string, format: Format): AsyncGenerator<string, void> {
  if (format === 'json') yield `${JSON.stringify(exportRecord(await http.getSession(id)), null, 2)}\n`;
  else yield* http.stream('sessions.export', { params: { id }, query: { format } });
}

const BUFFERED_BYTES_MAX = 1 << 20;

const toStdout = async (output: Output, parts: AsyncIterable<string>): Promise<void> => {
  for await (const part of parts) {
    output.out(part);
    if (output.bufferedBytes() > BUFFERED_BYTES_MAX) await new Promise<void>((next) => output.onDrain(next));
    if (output.closed) return;
  }
};

/** Number of bytes. */
const toFile = async (file: string, parts: AsyncIterable<string>): Promise<number> => {
  const draft = `${file}.${process.pid}.part`;
  const to = createWriteStream(draft, { flags: 'wx' });
  try {
    await pipeline(Readable.from(parts), to);
    renameSync(draft, file);
    return to.bytesWritten;
  } catch (cause) {
    rmSync(draft, { force: true });
    const { code } = cause as NodeJS.ErrnoException;
    if (cause instanceof OptaError || code === 'ENOSPC') throw cause;
    throw new UsageError(`Cannot write ${file}: ${code ?? (cause as Error).message}`);
  }
};
