import type { DiffLine } from './diff.ts';
import { argsText } from './tool-card.ts';

/** What the arguments of a tool call are best shown as. What a form leaves out is in `rest`, so nothing of a call is hidden. */
export type ToolArgs = (
  | { kind: 'command'; text: string }
  | { kind: 'change'; lines: DiffLine[] }
  | { kind: 'content'; lang: string; text: string }
  | { kind: 'json'; text: string }
) & {
  /** Further arguments as JSON with indents; '' when there are none. */
  rest: string;
};

export const toolArgs = (args: string): ToolArgs => {
  const fields = fieldsOf(args);
  if (fields === null) return { kind: 'json', text: argsText(args), rest: '' };
  const { command, path, old_text: before, new_text: after, content } = fields;
  const rest = (shown: readonly string[]): string => {
    const left = Object.entries(fields).filter(([name]) => !shown.includes(name));
    return left.length === 0 ? '' : JSON.stringify(Object.fromEntries(left), null, 2);
  };
  if (typeof command === 'string') return { kind: 'command', text: command, rest: rest(['command']) };
  if (typeof path === 'string' && typeof before === 'string' && typeof after === 'string') {
    return { kind: 'change', lines: changeOf(before, after), rest: rest(['path', 'old_text', 'new_text']) };
  }
  if (typeof path === 'string' && typeof content === 'string') {
    return { kind: 'content', lang: langOfPath(path), text: content, rest: rest(['path', 'content']) };
  }
  return { kind: 'json', text: argsText(args), rest: '' };
};

/** One text in the place of another, without the lines at both ends that they have in common. */
const changeOf = (before: string, after: string): DiffLine[] => {
  const [was, is] = [before.split('\n'), after.split('\n')];
  let head = 0;
  while (head < was.length && head < is.length && was[head] === is[head]) head += 1;
  let tail = 0;
  while (tail < was.length - head && tail < is.length - head && was.at(-1 - tail) === is.at(-1 - tail)) tail += 1;
  const lines = (kind: DiffLine['kind'], all: readonly string[]): DiffLine[] => all.map((text) => ({ kind, text }));
  return [
    ...lines('same', was.slice(0, head)),
    ...lines('removed', was.slice(head, was.length - tail)),
    ...lines('added', is.slice(head, is.length - tail)),
    ...lines('same', was.slice(was.length - tail)),
  ];
};

/** By its ending, as a fence in markdown would say it. */
export const langOfPath = (path: string): string => /\.(\w{1,12})$/.exec(path)?.[1]?.toLowerCase() ?? '';

const PARSED_CHARS_MAX = 1 << 20;

const fieldsOf = (args: string): { [name: string]: unknown } | null => {
  if (args.length > PARSED_CHARS_MAX) return null;
  try {
    const value: unknown = JSON.parse(args);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as { [name: string]: unknown })
      : null;
  } catch {
    return null;
  }
};
