import { type Memory, memoryText } from './memory-line.ts';
import { printable } from './outcome.ts';

/**
 * What a call would write, line by line, for whoever is asked whether it may: `-` goes, `+` comes, a space stays. It is made of the
 * arguments alone, since no file is read before a call is allowed; so a file that is written whole is shown as what it will be.
 */

/** More is left out in the middle, and said: neither the beginning nor the end of a change can hide. */
const LINES_MAX = 400;
const CHARS_MAX = 64 * 1024;
const LINE_CHARS_MAX = 2_000;
/** A longer URL does not fit into a summary. */
const URL_CHARS = 250;
/** Unchanged lines around a change. */
const AROUND = 3;

/** Undefined when the call's summary says all there is. */
export const previewOf = (name: string, args: { [key: string]: unknown }): string | undefined => {
  const text = (key: string): string => (typeof args[key] === 'string' ? (args[key] as string) : '');
  if (name === 'write_file') return bounded(signed('+', linesOf(text('content'))));
  if (name === 'save_memory') return bounded(signed('+', [memoryText(args as unknown as Memory)]));
  if (name === 'web_fetch') return plainUrl(text('url')).length > URL_CHARS ? ` ${plainUrl(text('url'))}` : undefined;
  if (name === 'edit_file') return bounded(changeOf(linesOf(text('old_text')), linesOf(text('new_text'))));
  if (name === 'multi_edit') {
    const edits = (Array.isArray(args.edits) ? args.edits : []) as { old_text: string; new_text: string }[];
    const parts = edits.map(({ old_text, new_text }) => changeOf(linesOf(old_text), linesOf(new_text)));
    return bounded(parts.flatMap((lines, i) => [`@@ edit ${i + 1} of ${parts.length} @@`, ...lines]));
  }
  return undefined;
};

/** A URL as it will be asked for: letters that look like others, and numbers in place of addresses, become visible. */
export const plainUrl = (url: string): string => printable(URL.canParse(url) ? new URL(url).href : url);

/** A line end at the end begins no further line. */
const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

const signed = (sign: string, lines: readonly string[]): string[] => lines.map((line) => sign + line);

const changeOf = (before: readonly string[], after: readonly string[]): string[] => {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  return [
    ...signed(' ', before.slice(Math.max(0, head - AROUND), head)),
    ...signed('-', before.slice(head, before.length - tail)),
    ...signed('+', after.slice(head, after.length - tail)),
    ...signed(' ', before.slice(before.length - tail, before.length - Math.max(0, tail - AROUND))),
  ];
};

const bounded = (lines: readonly string[]): string | undefined => {
  if (lines.length === 0) return undefined;
  const short = lines.map((line) =>
    line.length <= LINE_CHARS_MAX
      ? line
      : `${line.slice(0, LINE_CHARS_MAX)}… ${line.length - LINE_CHARS_MAX} characters more`,
  );
  const fits = fitting(short, CHARS_MAX / 2, Math.ceil(LINES_MAX / 2));
  if (fits === short.length) return short.join('\n');
  const end = fitting([...short.slice(fits)].reverse(), CHARS_MAX / 2, Math.floor(LINES_MAX / 2));
  const out = short.length - fits - end;
  const middle = out === 0 ? [] : [`@@ ${out} line${out === 1 ? '' : 's'} left out @@`];
  return [...short.slice(0, fits), ...middle, ...short.slice(short.length - end)].join('\n');
};

/** How many of the first lines fit. */
const fitting = (lines: readonly string[], chars: number, most: number): number => {
  let used = 0;
  let n = 0;
  while (n < lines.length && n < most && used + (lines[n] as string).length < chars) {
    used += (lines[n] as string).length + 1;
    n++;
  }
  return n;
};
