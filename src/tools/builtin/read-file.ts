import * as fs from 'node:fs';
import { join } from 'node:path';
import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import { fromSystem, type Workspace } from '../workspace.ts';

export interface ReadArgs {
  path: string;
  offset?: number | undefined;
  limit?: number | undefined;
}

const CHUNK_BYTES = 64 * 1024;
const SNIFF_BYTES = 8 * 1024;

/** Numbered lines, `n<TAB>text`. The file passes through one chunk at a time, however long its lines are. */
export const readFile = (ws: Workspace, args: ReadArgs, bounds: Bounds): ToolResult => {
  const kept = OUTPUT.exec(args.path)?.[1];
  if (kept !== undefined) return readOutput(kept, args, bounds);
  const entry = ws.entry(args.path);
  const fd = ws.open(entry);
  try {
    return read(fd, entry.rel, args, bounds);
  } catch (error) {
    throw fromSystem(error, entry.rel);
  } finally {
    fs.closeSync(fd);
  }
};

/** The whole output of a command of the same session, which was too long to be shown ([TL6]). */
const OUTPUT = /^output:([0-9a-f]{12})$/;

const readOutput = (name: string, args: ReadArgs, bounds: Bounds): ToolResult => {
  let fd: number;
  try {
    if (!bounds.outputsDir) throw new OptaError('not-found', 'no output is kept here');
    fd = fs.openSync(join(bounds.outputsDir, name), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  } catch {
    throw new OptaError('not-found', `${args.path} is not kept, or not any more; run the command again`);
  }
  try {
    return read(fd, args.path, args, bounds);
  } finally {
    fs.closeSync(fd);
  }
};

const read = (fd: number, rel: string, args: ReadArgs, bounds: Bounds): ToolResult => {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const page = new Page(args.offset ?? 1, args.limit ?? Number.POSITIVE_INFINITY, bounds.outputBytesMax);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let seenBytes = 0;
  while (!page.full && seenBytes < LIMITS.toolScanBytesMax) {
    const n = fs.readSync(fd, chunk, 0, CHUNK_BYTES, null);
    if (n === 0) {
      page.text(decoder.decode());
      return page.done(rel, true);
    }
    if (seenBytes === 0 && isBinary(chunk.subarray(0, n))) {
      const size = fs.fstatSync(fd).size;
      throw new OptaError(
        'tool-failed',
        `${printable(rel)} is a binary file (${size} bytes); it cannot be shown as text`,
      );
    }
    seenBytes += n;
    page.text(decoder.decode(chunk.subarray(0, n), { stream: true }));
  }
  return page.done(rel, false);
};

const isBinary = (start: Buffer): boolean => start.subarray(0, SNIFF_BYTES).includes(0);

/** Lines `offset … offset + limit − 1` of a text that arrives in pieces. */
class Page {
  readonly #from: number;
  readonly #to: number;
  readonly #output: Output;
  #line = 1;
  #inLine = false;
  #lastShown = 0;
  /** The page is complete and there is more behind it. */
  full = false;

  constructor(offset: number, limit: number, bytesMax: number) {
    this.#from = offset;
    this.#to = offset + limit - 1;
    this.#output = new Output(bytesMax);
  }

  text(text: string): void {
    for (let at = 0; at < text.length; ) {
      if (this.#line > this.#to) {
        this.full = true;
        return;
      }
      const end = text.indexOf('\n', at);
      this.#piece(text.slice(at, end < 0 ? text.length : end + 1));
      if (end < 0) return;
      this.#line++;
      this.#inLine = false;
      at = end + 1;
    }
  }

  #piece(text: string): void {
    const starts = !this.#inLine;
    this.#inLine = true;
    if (this.#line < this.#from) return;
    const kept = this.#output.add(starts ? `${this.#line}\t${text}` : text);
    if (kept) this.#lastShown = this.#line;
  }

  done(rel: string, atEnd: boolean): ToolResult {
    const lines = this.#inLine ? this.#line : this.#line - 1;
    if (atEnd && lines === 0) return { result: `[${printable(rel)} is empty]`, isError: false };
    if (this.#output.totalBytes === 0) {
      const count = atEnd ? `only ${lines} lines` : `at least ${lines} lines; it is too large to read that far`;
      throw new OptaError('tool-failed', `line ${this.#from} is past the end: ${printable(rel)} has ${count}`);
    }
    if (!this.#output.cut) {
      return this.#output.done(this.full ? [`more lines follow; go on with offset ${this.#to + 1}`] : []);
    }
    // A line that was cut counts as not shown: the next page begins with it, unless that would never get further.
    const next = Math.max(this.#lastShown, this.#from) + (this.#lastShown < this.#from ? 0 : 1);
    const size = this.full
      ? `line ${this.#to} asked for`
      : atEnd
        ? `the file has ${lines} lines`
        : `the file has more than ${lines} lines`;
    return this.#output.done([
      `lines ${this.#from} to ${this.#lastShown} shown in full, ${size}; go on with offset ${next}`,
    ]);
  }
}
