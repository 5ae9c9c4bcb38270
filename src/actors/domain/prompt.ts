import type { Message } from '../../protocol/session.ts';
import type { Mode } from '../../protocol/turn.ts';

/**
 * What the model is sent: a projection of the conversation, made for each step and never stored. A system message that the
 * client put into the session stays first and ours is not added.
 */
export const promptFor = (messages: Message[], turn: { mode: Mode; workspace: string | undefined }): Message[] =>
  messages[0]?.role === 'system' ? messages : [{ role: 'system', content: systemText(turn) }, ...messages];

const MODE: { [M in Mode]: string } = {
  chat: 'Answer the user. Use tools when the answer is in their files.',
  do: 'Carry out the task with the tools you have, then say briefly what you did and what you found.',
  plan: 'Make a plan. You may read, you may not change anything.',
  review: 'Review what the user names. You may read, you may not change anything.',
  research: 'Find out what the user asks. You may read, you may not change anything.',
};

const systemText = (turn: { mode: Mode; workspace: string | undefined }): string =>
  [
    'You are Opta, an agent that works on the files of its user through tools.',
    MODE[turn.mode],
    turn.workspace === undefined
      ? 'This session has no workspace, so file tools will refuse.'
      : `The workspace is ${turn.workspace}. Paths are relative to it; nothing outside it can be reached.`,
    'A tool result is the truth about the files; do not guess what a tool can tell you. If a call was denied, do not repeat it.',
  ].join('\n');
