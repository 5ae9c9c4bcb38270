import { oneLine } from '../client/printable.ts';
import type { ToolItem } from '../client/turn-view.ts';

/** What a tool call looks like when it is folded: its name, what it is about, and how it went. */
export interface ToolHead {
  name: string;
  /** The path, the command or the pattern; else the arguments on one line. */
  about: string;
  /** In words, for who cannot see a sign or a colour. */
  state: string;
  /** `12 ms`, or '' while it runs. */
  took: string;
}

const ABOUT_CHARS_MAX = 160;
/** What calls are mostly about, in the order in which it is looked for. */
const SUBJECTS = ['command', 'path', 'file_path', 'question', 'query', 'pattern', 'url', 'name', 'id'];

export const TOOL_STATE_WORDS: { readonly [S in ToolItem['state']]: string } = {
  waiting: 'waiting',
  asked: 'asks for a decision',
  running: 'running',
  done: 'done',
  failed: 'failed',
  refused: 'refused',
  cancelled: 'cancelled',
  'not-run': 'not run',
};

export const toolHead = ({ name, args, state, elapsedMs }: ToolItem): ToolHead => ({
  name: oneLine(name, 60),
  about: oneLine(subjectOf(args), ABOUT_CHARS_MAX),
  state: TOOL_STATE_WORDS[state],
  took: elapsedMs === undefined ? '' : durationText(elapsedMs),
});

/** The arguments as a person reads them: JSON with indents, or as they came when they are none. */
export const argsText = (args: string): string => {
  const value = jsonOf(args);
  return value === undefined ? args : JSON.stringify(value, null, 2);
};

/** `420 ms`, `3.2 s`, `4 min 10 s`. */
export const durationText = (ms: number): string => {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1_000)} s`;
};

const subjectOf = (args: string): string => {
  const value = jsonOf(args);
  if (typeof value !== 'object' || value === null) return args;
  const fields = value as { [name: string]: unknown };
  for (const name of SUBJECTS) if (typeof fields[name] === 'string') return fields[name] as string;
  return args;
};

const PARSED_CHARS_MAX = 1 << 20;

const jsonOf = (text: string): unknown => {
  if (text.length > PARSED_CHARS_MAX) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
