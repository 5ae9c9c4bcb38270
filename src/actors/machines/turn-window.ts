import type { AnyActorRef } from 'xstate';
import type { Message } from '../../protocol/session.ts';
import type { Usage } from '../../protocol/turn.ts';
import { charsOf, type Fit, fitInto, type Room, tokensOf } from '../domain/context-window.ts';
import { type PromptTurn, promptChars, promptFor } from '../domain/prompt.ts';
import { repeats } from '../domain/stagnation.ts';
import { digest, summaryOf, summaryRequest } from '../domain/summary.ts';
import type { TurnEvent, TurnReport } from '../messages.ts';
import type { StreamInput } from './stream.ts';
import type { Done, TurnContext } from './turn-context.ts';

/** What a turn sends to the model: the conversation as far as it fits, with the system message before it. */

/** A repetition is told before it is the end. */
const TOLD_BEFORE = 2;

const promptOf = (c: TurnContext): PromptTurn => ({
  mode: c.mode,
  workspace: c.workspace,
  brief: c.brief,
  repeats: repeats(c.marks) >= Math.max(2, c.limits.turnRepeatsMax - TOLD_BEFORE),
  ...(c.given.undone === undefined ? {} : { undone: c.given.undone }),
});

/** The client's own system message, if there is one, is sent as it is: it is no part of what is shortened. */
const parts = ({ given }: TurnContext): { system: Message[]; rest: Message[] } => {
  const own = given.messages[0]?.role === 'system' ? 1 : 0;
  return { system: given.messages.slice(0, own), rest: given.messages.slice(own) };
};

const roomOf = (c: TurnContext): Room => {
  const { contextTokensMax, contextCompactPercent } = c.limits;
  const { contextTokens = contextTokensMax } = c.brief;
  const { system } = parts(c);
  const said = system.length > 0 ? charsOf(system) : promptChars(promptOf(c));
  return {
    tokensMax: Math.min(contextTokens, c.limits.contextTokensCeiling, c.windowMax),
    isGuess: c.brief.contextTokens === undefined && c.refits === 0,
    tokensPerChar: c.tokensPerChar,
    compactAt: contextCompactPercent / 100,
    overheadChars: said + JSON.stringify(c.tools.offered(c)).length,
  };
};

export const fitted = (c: TurnContext): Fit => {
  const { system, rest } = parts(c);
  const { compaction } = c.given;
  const mayCompact = c.compactedStep !== c.step && c.compactions < c.limits.turnCompactionsMax;
  const shifted = compaction && { ...compaction, upTo: Math.max(0, compaction.upTo - system.length) };
  const found = fitInto(rest, shifted, roomOf(c), mayCompact);
  return found.kind === 'compact' ? { ...found, upTo: found.upTo + system.length } : found;
};

export const requestOf = (c: TurnContext): StreamInput['request'] => {
  const { system } = parts(c);
  const messages = c.fit?.kind === 'fits' ? c.fit.messages : [];
  const { sessionId, turnId, step, model } = c;
  return {
    sessionId,
    turnId,
    step,
    model,
    messages: promptFor([...system, ...messages], promptOf(c)),
    tools: c.tools.offered(c),
  };
};

/** Characters of the request that goes out now; what the server counts for it says how many tokens a character is. */
export const sentChars = (c: TurnContext): number =>
  c.fit?.kind === 'fits' ? roomOf(c).overheadChars + charsOf(c.fit.messages) : 0;

/** The server did not take what was sent, since it is longer for the model than it was taken to be. */
export const isTooLong = (event: TurnEvent | Done): boolean =>
  event.type === 'xstate.done.actor.stream' && event.output.kind === 'failed' && event.output.tooLong === true;

/** Of what was refused, as it was counted here; so the next is shorter, whatever was wrong: the window or the count. */
const REFIT_SHARE = 0.6;
export const tighter = ({ fit, windowMax, refits }: TurnContext) => ({
  windowMax: Math.min(windowMax, Math.floor((fit?.tokens ?? 0) * REFIT_SHARE)),
  refits: refits + 1,
});

const PER_CHAR = { least: 0.15, most: 1.5 } as const;

export const measured = (c: TurnContext, usage: Usage | null): number =>
  usage === null || usage.promptTokens <= 0 || c.sentChars <= 0
    ? c.tokensPerChar
    : Math.min(PER_CHAR.most, Math.max(PER_CHAR.least, usage.promptTokens / c.sentChars));

const SUMMARY_SHARE = 0.1;
const HEAD_SHARE = 0.6;

const chars = (c: TurnContext, share: number): number => {
  const { tokensMax, tokensPerChar } = roomOf(c);
  return Math.floor((tokensMax * share) / tokensPerChar);
};

/** The model call that summarises. Its text comes to the turn and not to the session: nobody takes it for an answer. */
export const summaryInput = (c: TurnContext, self: AnyActorRef): StreamInput => {
  const head = c.fit?.kind === 'compact' ? c.fit.head : [];
  const { sessionId, turnId, step, model, limits } = c;
  const messages = summaryRequest(head, chars(c, HEAD_SHARE));
  return { session: self, limits, request: { sessionId, turnId, step, model, messages, tools: [] } };
};

/** The summary with what it brings. `answered`: the model gave one to its end. */
export const compactedReport = (c: TurnContext, answered: boolean): TurnReport & { type: 'step.compacted' } => {
  const { turnId, step } = c;
  const [head, upTo, tokensBefore] = c.fit?.kind === 'compact' ? [c.fit.head, c.fit.upTo, c.fit.tokens] : [[], 0, 0];
  const most = chars(c, SUMMARY_SHARE);
  const summary = answered ? summaryOf(c.summary, head, most) : digest(head, most);
  const by = answered && c.summary.trim() !== '' ? 'model' : 'digest';
  const { rest, system } = parts(c);
  const kept = rest.slice(Math.max(0, upTo - system.length));
  const tokensAfter = tokensOf([{ role: 'user', content: summary }, ...kept], roomOf(c));
  return { type: 'step.compacted', turnId, step, upTo, summary, by, tokensBefore, tokensAfter };
};
