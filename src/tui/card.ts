import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';
import { openRequests } from '../protocol/session-state.ts';
import { clean, cropped, type Row, wrap } from './text.ts';

/** A request for permission that waits. */
export interface Card {
  requestId: string;
  toolName: string;
  summary: string;
  preview: string;
  /** Whose turn it is. */
  writerId: string;
  expiresAtMs: number;
}

/** The one that waits longest. */
export const cardOf = ({ state }: View): Card | null => {
  const [open] = openRequests(state);
  if (open === undefined) return null;
  const { requestId, summary, preview = '', expiresAt } = open.asked;
  const writerId = state.active?.writerId ?? '';
  return { requestId, toolName: open.call.name, summary, preview, writerId, expiresAtMs: Date.parse(expiresAt) };
};

/** In place of the composer. `top`: how far its preview was to be scrolled, and how far it could be. */
export const cardRows = (
  card: Card,
  top: number,
  now: number,
  width: number,
  heightMax: number,
): { rows: Row[]; top: number } => {
  const room = Math.max(1, width - 2);
  const whose = cropped(clean(oneLine(card.writerId, 40)), Math.max(1, Math.floor(width / 3)));
  const head: Row = [[cropped(`── ${whose}: allow this? ${'─'.repeat(width)}`, width).replace(/…$/, '─'), 'warn']];
  const what = wrap(clean(oneLine(`${card.toolName}  ${card.summary}`, 600)), room).map(
    (line): Row => [[` ${line}`, 'bold']],
  );
  const leftS = Math.max(0, Math.ceil((card.expiresAtMs - now) / 1_000));
  const keys: Row = [[cropped(` y allow   n deny   Esc later   ${leftS} s`, width), 'warn']];
  const space = Math.max(0, heightMax - 2);
  const shownWhat = what.slice(0, Math.max(1, Math.min(what.length, space)));
  const preview = card.preview === '' ? [] : wrap(clean(card.preview), room);
  const rest = space - shownWhat.length;
  if (rest < 2 || preview.length === 0)
    return { rows: [head, ...shownWhat, keys].slice(-Math.max(1, heightMax)), top: 0 };
  const cut = preview.length > rest;
  const shown = cut ? rest - 1 : rest;
  const from = Math.max(0, Math.min(top, preview.length - shown));
  const lines = preview.slice(from, from + shown).map((line): Row => [[` ${line}`, looksOf(line)]]);
  const below = preview.length - from - lines.length;
  const said = `   ${below} more line${below === 1 ? '' : 's'} below (Up, Down)`;
  const more: Row[] = cut ? [[[cropped(said, width), 'dim']]] : [];
  return { rows: [head, ...shownWhat, ...lines, ...more, keys], top: from };
};

const looksOf = (line: string): 'good' | 'bad' | 'dim' => {
  if (line.startsWith('+')) return 'good';
  return line.startsWith('-') ? 'bad' : 'dim';
};
