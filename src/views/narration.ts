import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';
import type { LogRecord } from '../protocol/events.ts';
import { toolHead } from './tool-card.ts';

/**
 * A session for who hears it: when turns begin and end, what is asked, what tools did, and a text as its paragraphs are finished,
 * not as its tokens come. Feed it what a view tells its subscribers.
 */
export class Narrator {
  readonly #sinceMs: number;
  readonly #me: string;
  /** How far the open text has been said. */
  #said = 0;

  /** What is older than `sinceMs` is history, and not said. `me`: whose turns are not announced to them. */
  constructor(sinceMs: number, me: string) {
    this.#sinceMs = sinceMs;
    this.#me = me;
  }

  hear(view: View, record: LogRecord | null): string[] {
    if (record === null || Date.parse(record.ts) < this.#sinceMs) {
      this.#said = view.active?.text.length ?? 0;
      return [];
    }
    switch (record.event) {
      case 'turn.start':
        this.#said = 0;
        return [
          record.payload.writerId === this.#me
            ? 'Your turn runs.'
            : `The turn of ${name(record.payload.writerId)} runs.`,
        ];
      case 'turn.queued': {
        const { writerId } = record.payload;
        return writerId === this.#me || view.active === null ? [] : [`${name(writerId)} has queued a message.`];
      }
      case 'turn.token':
        return this.#paragraphs(view.active?.text ?? '', false);
      case 'turn.progress': {
        const rest = record.payload.phase === 'model.request' ? [] : this.#paragraphs(view.active?.text ?? '', true);
        this.#said = 0;
        return rest;
      }
      case 'permission.request': {
        const { question, toolName, summary } = record.payload;
        return [
          question
            ? `A question waits: ${oneLine(question.text, 300)}`
            : `${name(toolName)} asks: ${oneLine(summary, 300)}`,
        ];
      }
      case 'permission.resolved': {
        const { toolName, decision, decidedBy, reason, answer } = record.payload;
        const done = answer !== undefined ? 'answered' : decision === 'allow' ? 'allowed' : 'denied';
        return reason === 'rule' ? [] : [`${name(toolName)} ${done} by ${name(decidedBy)}.`];
      }
      case 'tool.end': {
        const call = view.active?.items.find((item) => item.kind === 'tool' && item.callId === record.payload.id);
        if (call?.kind !== 'tool') return [];
        const { name: tool, about, state } = toolHead(call);
        return [`${tool} ${oneLine(about, 80)}: ${state}.`];
      }
      case 'context.compacted':
        return ['The conversation was shortened for the model.'];
      case 'files.restored':
        return [`Files were taken back by ${oneLine(record.payload.by, 60)}.`];
      case 'turn.done':
      case 'turn.error': {
        const turn = view.past.at(-1);
        const rest = this.#paragraphs(turn?.text ?? '', true);
        this.#said = 0;
        return [
          ...rest,
          record.event === 'turn.done'
            ? 'The turn is done.'
            : `The turn ended: ${oneLine(record.payload.message, 200)}`,
        ];
      }
      default:
        return [];
    }
  }

  /** What of `text` is finished and not said yet. A block of code is said when it is whole, as what it is. */
  #paragraphs(text: string, isWhole: boolean): string[] {
    const fresh = text.slice(this.#said);
    if (!isWhole && !fresh.includes('\n\n')) return [];
    const end = isWhole ? fresh.length : lastBreak(fresh);
    if (end <= 0) return [];
    this.#said += end;
    return fresh
      .slice(0, end)
      .split(/^(```[^\n]*\n[\s\S]*?(?:^```|$(?![\s\S])))/m)
      .flatMap((part) =>
        part.startsWith('```') ? [`Code, ${Math.max(1, part.split('\n').length - 2)} lines.`] : spoken(part),
      );
  }
}

/** The end of the last paragraph that is not inside an open block of code. */
const lastBreak = (text: string): number => {
  let end = 0;
  let isOpen = false;
  for (const match of text.matchAll(/^```|\n\n/gm)) {
    if (match[0] === '```') isOpen = !isOpen;
    else if (!isOpen) end = match.index + 2;
  }
  return end;
};

/** Words without the signs of markdown. */
const spoken = (text: string): string[] =>
  text.split(/\n{2,}/).flatMap((part) => {
    const words = part
      .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/^[ \t]*(?:#{1,6}|[-*+>]|\d+\.)[ \t]+/gm, '')
      .replace(/(\*\*|__|`|~~)/g, '');
    const line = oneLine(words, 1_000);
    return line === '' ? [] : [line];
  });

const name = (text: string): string => oneLine(text.replace(/^person:/, ''), 60);
