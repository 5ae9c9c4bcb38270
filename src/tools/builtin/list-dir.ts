import type { Dirent } from 'node:fs';
import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import type { Entry, Workspace } from '../workspace.ts';

export interface ListArgs {
  path?: string | undefined;
  recursive?: boolean | undefined;
}

/** Named, not entered, when listing everything below a folder. */
const NOT_ENTERED = new Set(['.git', 'node_modules']);

export const listDir = (ws: Workspace, args: ListArgs, bounds: Bounds): ToolResult => {
  const top = ws.entry(args.path ?? '.');
  if (top.kind !== 'dir') throw new OptaError('tool-failed', `${printable(top.rel)} is a file, not a folder`);
  const listing = new Listing(ws, new Output(bounds.outputBytesMax));
  listing.folder(top, '', args.recursive === true);
  return listing.done();
};

class Listing {
  readonly #ws: Workspace;
  readonly #output: Output;
  #count = 0;
  #shown = 0;
  #unread: string[] = [];
  #unreadCount = 0;
  #stopped = false;

  constructor(ws: Workspace, output: Output) {
    this.#ws = ws;
    this.#output = output;
  }

  folder(dir: Entry, prefix: string, recursive: boolean): void {
    const { entries, more } = this.#ws.children(dir, LIMITS.toolWalkEntriesMax - this.#count);
    this.#stopped ||= more;
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      this.#line(dir, entry, prefix);
      if (!recursive || !entry.isDirectory() || NOT_ENTERED.has(entry.name)) continue;
      if (this.#count >= LIMITS.toolWalkEntriesMax) {
        this.#stopped = true;
        return;
      }
      this.#below(dir, entry.name, prefix);
    }
  }

  /** One folder that cannot be read does not spoil the listing of the others. */
  #below(dir: Entry, name: string, prefix: string): void {
    let below: Entry | null = null;
    try {
      below = this.#ws.child(dir, name);
      if (below?.kind === 'dir') this.folder(below, `${prefix}${name}/`, true);
    } catch (error) {
      if (!(error instanceof OptaError)) throw error;
      this.#unreadCount++;
      if (this.#unread.length < 5) this.#unread.push(printable(`${prefix}${name}`));
    } finally {
      if (below) this.#ws.release(below.node);
    }
  }

  #line(dir: Entry, entry: Dirent, prefix: string): void {
    this.#count++;
    const show = this.#shown < LIMITS.toolListEntriesMax;
    const kept = this.#output.add(`${printable(prefix + entry.name)}${this.#suffix(dir, entry)}\n`, show);
    if (kept) this.#shown++;
  }

  #suffix(dir: Entry, entry: Dirent): string {
    if (entry.isDirectory()) return '/';
    const seen = this.#ws.describe(dir, entry.name);
    if (seen === null) return '\t(gone)';
    if (seen.link !== null) return ` -> ${printable(seen.link)}`;
    return entry.isFile() ? `\t${seen.bytes}` : '\t(special file)';
  }

  done(): ToolResult {
    if (this.#count === 0) return { result: '[the folder is empty]', isError: false };
    const notes: string[] = [];
    if (this.#shown < this.#count) {
      notes.push(`${this.#shown} of ${this.#stopped ? 'more than ' : ''}${this.#count} entries shown`);
    }
    if (this.#unreadCount > 0) notes.push(`${this.#unreadCount} folders could not be read: ${this.#unread.join(', ')}`);
    return this.#output.done(notes);
  }
}
