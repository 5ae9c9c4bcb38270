import type { Message } from '../../protocol/session.ts';

/**
 * What of a conversation a model is sent when not all of it fits: a pure function of the conversation, so that the same one gives
 * the same request. In this order, each only when the one before was not enough ([TB3]):
 *
 * 1. Results of older calls are shortened. The border moves in strides, so that a server's prompt cache stays good in between.
 * 2. The older part is to become a summary (`compact`), which is recorded; the log keeps all of it.
 * 3. Results of the newest calls are shortened too.
 * 4. The turn ends: what must be sent does not fit. Where the size is only a guess, it is sent.
 */
export interface Room {
  /** Context of the model, in tokens, prompt and answer together. */
  tokensMax: number;
  /** Its server did not say it: what cannot be made shorter is sent all the same, and the server decides. */
  isGuess?: boolean;
  /** Measured on what was sent last, or a guess. */
  tokensPerChar: number;
  /** From this share of it on, something is done. */
  compactAt: number;
  /** Characters of tool definitions and of the system message. */
  overheadChars: number;
}

/** What stands for the messages before `upTo`. */
export interface Compaction {
  upTo: number;
  summary: string;
}

export type Fit =
  | { kind: 'fits'; messages: Message[]; tokens: number }
  /** `head`: what is to be summarised; it ends before message `upTo` of the conversation. */
  | { kind: 'compact'; head: Message[]; upTo: number; tokens: number }
  | { kind: 'exhausted'; tokens: number };

/** A guess for text that was never counted; a little high for English, about right for code. */
export const TOKENS_PER_CHAR = 0.3;
/** The answer needs room too. */
const ANSWER_SHARE = 0.15;
/** What is kept word for word when the rest is summarised. */
const TAIL_SHARE = 0.35;
const RESULTS_KEPT = 8;
const STRIDE = 16;
const SHORT_CHARS = 400;
const TASK_SHARE = 0.2;

export const charsOf = (messages: readonly Message[]): number => messages.reduce((n, m) => n + charsOfOne(m), 0);

const charsOfOne = ({ content, tool_calls = [] }: Message): number =>
  16 + content.length + tool_calls.reduce((n, c) => n + 16 + c.function.name.length + c.function.arguments.length, 0);

export const tokensOf = (messages: readonly Message[], room: Room): number =>
  Math.ceil((room.overheadChars + charsOf(messages)) * room.tokensPerChar);

/** `mayCompact`: false once this step was compacted, so that no step is compacted twice. */
export const fitInto = (
  all: readonly Message[],
  compaction: Compaction | undefined,
  room: Room,
  mayCompact: boolean,
): Fit => {
  const view = viewOf(all, compaction, room);
  const wanted = room.tokensMax * room.compactAt;
  const plain = tokensOf(view, room);
  if (plain <= wanted) return { kind: 'fits', messages: view, tokens: plain };
  const masked = mask(view, Math.floor(Math.max(0, view.length - RESULTS_KEPT) / STRIDE) * STRIDE);
  const tokens = tokensOf(masked, room);
  if (tokens <= wanted) return { kind: 'fits', messages: masked, tokens };
  const upTo = mayCompact ? cutOf(all, compaction?.upTo ?? 0, room) : null;
  if (upTo !== null) {
    const before = compaction ? [summaryMessage(compaction, all, room)] : [];
    return { kind: 'compact', head: [...before, ...all.slice(compaction?.upTo ?? 0, upTo)], upTo, tokens: plain };
  }
  const most = room.tokensMax * (1 - ANSWER_SHARE);
  const squeezed = squeeze(masked, room, most);
  const least = tokensOf(squeezed, room);
  const goes = least <= most || room.isGuess === true;
  return goes ? { kind: 'fits', messages: squeezed, tokens: least } : { kind: 'exhausted', tokens: least };
};

/** The conversation with its summary in place of what was summarised. */
const viewOf = (all: readonly Message[], compaction: Compaction | undefined, room: Room): Message[] =>
  compaction === undefined ? [...all] : [summaryMessage(compaction, all, room), ...all.slice(compaction.upTo)];

/** The task itself is never only summarised: it is what the turn is for. */
const summaryMessage = ({ upTo, summary }: Compaction, all: readonly Message[], room: Room): Message => {
  const task = all.findLastIndex((m) => m.role === 'user');
  const taskChars = Math.floor((room.tokensMax * TASK_SHARE) / room.tokensPerChar);
  const said =
    task >= 0 && task < upTo
      ? `\n\nThe task at hand, as the user gave it:\n${shortened(all[task]?.content ?? '', taskChars)}`
      : '';
  return { role: 'user', content: `[What came before, summarised to save room]\n${summary}${said}` };
};

const mask = (view: readonly Message[], upTo: number): Message[] =>
  view.map((m, i) => (i < upTo && m.role === 'tool' ? { ...m, content: shortened(m.content, SHORT_CHARS) } : m));

const shortened = (text: string, chars: number): string =>
  text.length <= chars + 80
    ? text
    : `${whole(text.slice(0, chars))}\n[${text.length - chars} characters left out to save room]`;

/** Without half of a surrogate pair at its end. */
const whole = (text: string): string => text.replace(/[\ud800-\udbff]$/, '');

/**
 * Where the part that is kept word for word begins: as early as its share allows, never in the middle of a call and its results, and
 * later than last time. Null when there is no such place.
 */
const cutOf = (all: readonly Message[], after: number, room: Room): number | null => {
  const tokens = (from: number): number => charsOf(all.slice(from)) * room.tokensPerChar;
  for (let i = after + 1; i < all.length; i++)
    if (all[i]?.role !== 'tool' && tokens(i) <= room.tokensMax * TAIL_SHARE) return i;
  // The newest call alone is too long: everything before it can still be summarised.
  const last = all.findLastIndex((m) => m.role !== 'tool');
  return last > after ? last : null;
};

/** Shortens the longest result, again and again, until it fits or none is worth it. */
const squeeze = (view: readonly Message[], room: Room, most: number): Message[] => {
  const out = [...view];
  for (;;) {
    if (tokensOf(out, room) <= most) return out;
    let longest = -1;
    for (const [i, m] of out.entries())
      if (
        m.role === 'tool' &&
        m.content.length > 4 * SHORT_CHARS &&
        m.content.length > (out[longest]?.content.length ?? 0)
      )
        longest = i;
    const m = out[longest];
    if (m === undefined) return out;
    out[longest] = { ...m, content: shortened(m.content, Math.floor(m.content.length / 2) - 100) };
  }
};
