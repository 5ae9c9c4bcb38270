import type { Message } from '../../protocol/session.ts';

/**
 * A summary of the older part of a conversation: what a model is asked for one, and one without a model for when it gives none.
 * Both are bounded, so that what takes the place of a part is shorter than the part.
 */
const LINE_CHARS = 300;

const INSTRUCTION = [
  'Summarise the conversation below for the agent that goes on with it. Keep, in this order: what the user wants and decided;',
  'what was done, with the paths of files; what was found out; what is still open. Facts only, no advice, at most 400 words.',
].join(' ');

/** The request for a summary; the conversation is text in it, so that nothing in it is taken for an instruction or a call. */
export const summaryRequest = (head: readonly Message[], charsMax: number): Message[] => [
  { role: 'system', content: INSTRUCTION },
  { role: 'user', content: linesOf(head, charsMax, 2_000).join('\n') },
];

/** Without a model: who said what, the newest whole, and of the first the beginning. */
export const digest = (head: readonly Message[], charsMax: number): string =>
  linesOf(head, charsMax, LINE_CHARS).join('\n');

/** What the model answered, or the digest where that says more or the model said nothing. */
export const summaryOf = (answer: string, head: readonly Message[], charsMax: number): string => {
  const text = answer.trim();
  return text === '' ? digest(head, charsMax) : text.slice(0, charsMax);
};

/** One line a message. The first two stay, since they say what it is about; then as many of the newest as have room. */
const linesOf = (head: readonly Message[], charsMax: number, lineChars: number): string[] => {
  const lines = head.map((m) => lineOf(m, lineChars));
  const first = lines.slice(0, 2);
  let room = charsMax - first.reduce((n, line) => n + line.length + 1, 0) - 60;
  const last: string[] = [];
  for (const line of lines.slice(2).reverse()) {
    room -= line.length + 1;
    if (room < 0) break;
    last.unshift(line);
  }
  const gone = lines.length - first.length - last.length;
  const all = [...first, ...(gone > 0 ? [`(${gone} messages are left out here)`] : []), ...last];
  return [all.join('\n').slice(0, Math.max(0, charsMax))];
};

const lineOf = ({ role, content, tool_calls = [] }: Message, chars: number): string => {
  const calls = tool_calls.map((c) => `${c.function.name}(${cut(c.function.arguments, chars / 2)})`).join(', ');
  const who = role === 'tool' ? 'Result' : role === 'assistant' ? 'Agent' : role === 'system' ? 'System' : 'User';
  const said = cut(content.replace(/\s+/g, ' ').trim(), chars);
  return `${who}: ${[said, ...(calls === '' ? [] : [`calls ${calls}`])].filter((part) => part !== '').join(' ')}`;
};

const cut = (text: string, chars: number): string =>
  text.length <= chars ? text : `${text.slice(0, chars).replace(/[\ud800-\udbff]$/, '')}…`;
