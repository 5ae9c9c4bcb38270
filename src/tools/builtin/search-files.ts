import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { IgnoreRules } from '../ignore-rules.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import { type Entry, fromSystem, type Workspace } from '../workspace.ts';

export interface SearchArgs {
  pattern: string;
  path?: string | undefined;
  glob?: string | undefined;
}

interface Hit {
  path: string;
  line: number;
  column: number;
  /** Of the line, in bytes. */
  offset: number;
}

interface Hits {
  hits: Hit[];
  /** Why the search ended early, for the note. */
  stopped: string | null;
  complaint: string;
}

/**
 * ripgrep says where the matching lines are; what they say is read again through the workspace ([TL1]). So a folder that is
 * swapped for a link in the middle of a search shows nothing from outside: the search works with paths, the reading does not.
 */
export const searchFiles = async (
  ws: Workspace,
  args: SearchArgs,
  bounds: Bounds,
  binary: () => Promise<string> = ripgrepPath,
): Promise<ToolResult> => {
  const top = ws.entry(args.path ?? '.');
  const found = await ripgrep(await binary(), ws, top, args, Math.min(LIMITS.toolSearchMs, bounds.deadlineMs * 0.8));
  if (found.hits.length === 0 && found.complaint !== '') {
    throw new OptaError('tool-failed', `the search failed: ${found.complaint}`);
  }
  if (top.kind === 'dir') found.hits = withoutIgnored(ws, top.rel, found.hits);
  found.hits.sort((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1));
  return render(ws, found, bounds);
};

/** To ripgrep a glob that names a file outranks the `.gitignore` that excludes it; to us it only narrows the search. */
const withoutIgnored = (ws: Workspace, top: string, hits: Hit[]): Hit[] => {
  const rules = new IgnoreRules(ws);
  const verdicts = new Map<string, boolean>();
  const excluded = (path: string, isFolder: boolean): boolean => {
    if (path === top) return false;
    const known = verdicts.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const folder = slash < 0 ? '' : path.slice(0, slash);
    const verdict = (folder !== '' && excluded(folder, true)) || rules.ignored(folder, path.slice(slash + 1), isFolder);
    verdicts.set(path, verdict);
    return verdict;
  };
  return hits.filter((hit) => !excluded(hit.path, false));
};

const ripgrepPath = async (): Promise<string> => {
  try {
    return (await import('@vscode/ripgrep')).rgPath;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OptaError('tool-failed', `search_files needs the ripgrep program, which is not installed: ${why}`);
  }
};

const argumentsFor = (ws: Workspace, top: Entry, args: SearchArgs): string[] => {
  const options = [
    '--no-config',
    '--no-follow',
    '--no-pre',
    '--no-ignore-global',
    '--no-ignore-parent',
    '--no-require-git',
  ];
  const format = [
    '--no-heading',
    '--with-filename',
    '--null',
    '--line-number',
    '--column',
    '--byte-offset',
    '--color=never',
  ];
  // The text of a line is not taken from here, so it is left out; a UTF-16 file would shift the offsets.
  const bounds = [
    '--max-columns=1',
    '--encoding=none',
    '--regex-size-limit=10M',
    '--dfa-size-limit=50M',
    '--threads=2',
  ];
  const globs = [
    '--hidden',
    ...(args.glob === undefined ? [] : [`--glob=${args.glob}`]),
    '--glob=!.git',
    '--glob=!node_modules',
  ];
  // Rules of the folders above the one that is searched; those below it are found on the way.
  const rules = top.rel !== '' && ownRules(ws) ? ['--ignore-file=./.gitignore'] : [];
  return [
    ...options,
    ...format,
    ...bounds,
    ...globs,
    ...rules,
    '-e',
    args.pattern,
    '--',
    top.kind === 'dir' ? `./${top.rel}` : '-',
  ];
};

const ownRules = (ws: Workspace): boolean => {
  const rules = ws.child({ kind: 'dir', rel: '', node: ws.rootNode }, '.gitignore');
  if (rules) ws.release(rules.node);
  return rules?.kind === 'file';
};

const COMPLAINT_CHARS_MAX = 2_000;
/** Longest record that is looked at: a path, a NUL and three numbers. */
const RECORD_CHARS_MAX = 3 * LIMITS.toolPathBytesMax;

const ripgrep = (binary: string, ws: Workspace, top: Entry, args: SearchArgs, timeMs: number): Promise<Hits> => {
  const stdin = top.kind === 'file' ? ws.open(top) : null;
  return new Promise<Hits>((resolve, reject) => {
    const rg = spawn(binary, argumentsFor(ws, top, args), {
      cwd: ws.rootNode.ref,
      env: { PATH: process.env.PATH ?? '', LANG: process.env.LANG ?? 'C.UTF-8' },
      stdio: [stdin ?? 'ignore', 'pipe', 'pipe'],
    });
    const found: Hits = { hits: [], stopped: null, complaint: '' };
    const stop = (why: string): void => {
      found.stopped ??= why;
      rg.kill('SIGKILL');
    };
    const timer = setTimeout(() => stop(`stopped after ${Math.round(timeMs / 1_000)} s`), timeMs);
    let rest = '';
    rg.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!.slice(-RECORD_CHARS_MAX);
      for (const line of lines) {
        if (found.hits.length >= LIMITS.toolHitsMax) return stop(`stopped after ${LIMITS.toolHitsMax} matching lines`);
        const hit = parse(line, top);
        if (hit) found.hits.push(hit);
        else if (/: binary file matches \(found /.test(line))
          found.stopped ??= 'the file is binary, its lines are not shown';
      }
    });
    rg.stderr!.setEncoding('utf8').on('data', (text: string) => {
      found.complaint = (found.complaint + text).slice(0, COMPLAINT_CHARS_MAX);
    });
    rg.on('error', (cause) => {
      clearTimeout(timer);
      reject(new OptaError('tool-failed', `search_files cannot start ripgrep (${cause.message})`));
    });
    rg.on('close', (exit) => {
      clearTimeout(timer);
      if (exit === null && found.stopped === null) found.complaint ||= 'ripgrep ended unexpectedly';
      resolve({ ...found, complaint: exit === 2 || exit === null ? complaint(found) : '' });
    });
  }).finally(() => {
    if (stdin !== null) fs.closeSync(stdin);
  });
};

/**
 * What ripgrep says about the pattern is for the model. What it says about files is not passed on: under a race it may have
 * walked out of the workspace, and then even a name would be too much ([TL1]).
 */
const complaint = ({ complaint, stopped }: Hits): string => {
  if (stopped !== null) return '';
  const text = complaint.replace(/^rg: /, '').trim();
  if (text === '' || text === 'ripgrep ended unexpectedly') return 'ripgrep ended unexpectedly';
  return ABOUT_THE_PATTERN.test(text) ? printable(text.replaceAll('\n', ' ')) : 'some files could not be read';
};

const ABOUT_THE_PATTERN = /^(?:regex |the literal |error parsing |compiled regex |invalid regex|unrecognized )/i;

/** `path NUL line:column:offset:…`; anything else is a remark of ripgrep's. */
export const parse = (record: string, top: { kind: 'file' | 'dir'; rel: string }): Hit | null => {
  const m = /^([^\0]+)\0(\d+):(\d+):(\d+):/.exec(record);
  if (!m) return null;
  const path = top.kind === 'file' ? top.rel : m[1]!.replace(/^\.\//, '');
  return { path, line: Number(m[2]), column: Number(m[3]), offset: Number(m[4]) };
};

const render = (ws: Workspace, { hits, stopped, complaint }: Hits, bounds: Bounds): ToolResult => {
  const output = new Output(bounds.outputBytesMax);
  let shown = 0;
  let gone = 0;
  for (let i = 0; i < hits.length; ) {
    let end = i + 1;
    while (hits[end]?.path === hits[i]!.path) end++;
    const texts = linesOf(ws, hits.slice(i, end));
    texts.forEach((text, k) => {
      if (text === null) gone++;
      else if (
        output.add(`${printable(hits[i + k]!.path)}:${hits[i + k]!.line}: ${text}\n`, shown < LIMITS.toolMatchesMax)
      )
        shown++;
    });
    i = end;
  }
  const total = hits.length - gone;
  const notes =
    shown < total ? [`${shown} of ${stopped === null ? '' : 'at least '}${total} matching lines shown`] : [];
  if (total === 0) notes.push('no match');
  if (stopped !== null) notes.push(stopped);
  if (gone > 0) notes.push(`${gone} lines changed or moved meanwhile and are left out`);
  if (complaint !== '') notes.push(`not everything could be read: ${complaint.slice(0, 200)}`);
  return output.done(notes);
};

/** The text of each hit, all in one file; null where there is none any more. */
const linesOf = (ws: Workspace, hits: Hit[]): (string | null)[] => {
  let entry: Entry | null = null;
  let fd = -1;
  try {
    entry = ws.entry(hits[0]!.path);
    // The search follows no link; a path that is another one when walked has been swapped.
    if (entry.kind !== 'file' || entry.rel !== hits[0]!.path) return hits.map(() => null);
    fd = ws.open(entry);
    return hits.map((hit) => lineText(fd, hit));
  } catch (error) {
    const known = fromSystem(error, hits[0]!.path);
    if (known.code === 'internal') throw known;
    return hits.map(() => null);
  } finally {
    if (fd >= 0) fs.closeSync(fd);
    if (entry) ws.release(entry.node);
  }
};

const WINDOW_BYTES = 4 * LIMITS.toolMatchCharsMax;
const LEAD_BYTES = 80;

/** A window of the line around its first match. */
const lineText = (fd: number, hit: Hit): string | null => {
  const skip = hit.column > WINDOW_BYTES / 2 ? hit.column - 1 - LEAD_BYTES : 0;
  const bytes = Buffer.alloc(WINDOW_BYTES);
  const n = fs.readSync(fd, bytes, 0, WINDOW_BYTES, hit.offset + skip);
  if (n === 0) return null;
  const end = bytes.subarray(0, n).indexOf(0x0a);
  const text = bytes
    .toString('utf8', 0, end < 0 ? n : end)
    .replace(/^\ufffd+/, '')
    .replace(/\r$/, '');
  const cut = text.length > LIMITS.toolMatchCharsMax || (end < 0 && n === WINDOW_BYTES);
  return printableText(`${skip > 0 ? '…' : ''}${text.slice(0, LIMITS.toolMatchCharsMax)}${cut ? '…' : ''}`);
};

/** Tabs stay as they are; other control characters could forge a line. */
const printableText = (text: string): string => text.split('\t').map(printable).join('\t');
