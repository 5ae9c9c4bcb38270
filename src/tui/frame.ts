import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';
import { activityOf } from '../views/activity.ts';
import type { Desk } from '../views/session-desk.ts';
import { cardRows } from './card.ts';
import type { Completion } from './completion.ts';
import type { Composer } from './composer.ts';
import type { Overlay } from './overlay.ts';
import { SIDEBAR_WIDTH, sidebarRows } from './sidebar.ts';
import { clean, cropped, fitted, type Row, rowWidth, spread } from './text.ts';
import type { Transcript } from './transcript.ts';

/** Everything that the screen shows at one moment. */
export interface Scene {
  desk: Desk;
  /** How the next turns may act, in words; '' when there is nothing to say. */
  mode: string;
  /** Whether that has to be seen. */
  loud: boolean;
  /** What a person writes: a turn, or the answer to the question of the card. */
  composer: Composer;
  completion: Completion;
  overlay: Overlay | null;
  /** How far the card's text was scrolled. */
  cardTop: number;
  sidebar: boolean;
  /** What a person should know now. */
  note: string;
  /** What the connection waits for, when it is lost. */
  lost: string;
  /** The key of the help, as people write it. */
  helpKey: string;
  nowMs: number;
}

export interface Frame {
  rows: Row[];
  cursor: { x: number; y: number } | null;
  cardTop: number;
}

const QUEUE_ROWS_MAX = 3;
const COMPOSER_ROWS_MAX = 8;
const CHOICES_ROWS_MAX = 8;
const PROMPT = '› ';
/** Below this the column at the side is not shown, whatever was asked for. */
export const SIDEBAR_FROM = 80;

export const frameOf = (scene: Scene, transcript: Transcript, width: number, height: number): Frame => {
  const { view } = scene.desk;
  const header = height >= 3 ? [headerRow(scene, width)] : [];
  const banner = scene.lost !== '' && height >= 6 ? [spread(` ${scene.lost}`, '', width, 'warn')] : [];
  const status = height >= 2 ? [statusRow(scene, !transcript.following, width)] : [];
  const middle = Math.max(1, height - header.length - banner.length - status.length);
  const top = [...header, ...banner];
  if (scene.overlay) {
    const rows = scene.overlay.rows(width, middle, scene.nowMs);
    return { rows: [...top, ...filled(rows, middle), ...status].slice(0, height), cursor: null, cardTop: 0 };
  }
  const side = scene.sidebar && width >= SIDEBAR_FROM ? SIDEBAR_WIDTH : 0;
  // A blank column stands between the two.
  const wide = side === 0 ? width : width - side - 1;
  const queue = height >= 10 ? queueRows(view, wide) : [];
  const bottom = bottomRows(scene, wide, height);
  const room = Math.max(0, middle - queue.length - bottom.rows.length);
  const said = transcript.window(view, wide, room).rows;
  const shown = said.length === 0 && room > 2 ? welcome(view, wide) : said;
  const left = [...filled(shown.slice(0, room), room), ...queue, ...bottom.rows].slice(0, middle);
  const body = side === 0 ? left : beside(filled(left, middle), sidebarRows(view, scene.mode, middle), wide + 1);
  const y = top.length + room + queue.length;
  const at = bottom.cursor && { x: bottom.cursor.x, y: y + bottom.cursor.y };
  const cursor = at !== null && at.y < top.length + middle ? at : null;
  return { rows: [...top, ...body, ...status].slice(0, height), cursor, cardTop: bottom.top };
};

const filled = (rows: readonly Row[], height: number): Row[] => [
  ...rows.slice(0, height),
  ...Array.from({ length: Math.max(0, height - rows.length) }, (): Row => []),
];

const beside = (left: readonly Row[], right: readonly Row[], width: number): Row[] =>
  left.map((row, i) => {
    const cut = fitted(row, width - 1);
    return [...cut, [' '.repeat(Math.max(0, width - rowWidth(cut))), 'plain'], ...(right[i] ?? [])];
  });

/** A card, what is written, and what can be taken in its place. */
const bottomRows = (scene: Scene, width: number, height: number) => {
  const roomy = height >= 8;
  const composerMax = roomy ? Math.min(COMPOSER_ROWS_MAX, Math.floor(height / 3)) : 1;
  const { card, cards } = scene.desk;
  if (card === null) {
    const written = composerRows(scene, width, composerMax, roomy);
    const choices = scene.completion.rows(width, Math.min(CHOICES_ROWS_MAX, Math.max(0, Math.floor(height / 2) - 2)));
    const cursor = { ...written.cursor, y: written.cursor.y + choices.length };
    return { rows: [...choices, ...written.rows], cursor, top: 0 };
  }
  const most = Math.max(2, Math.floor(height / 2));
  const more = cards.length - 1;
  const answer = card.question ? composerRows(scene, width, Math.min(3, composerMax), false) : null;
  const room = Math.max(2, most - (answer?.rows.length ?? 0));
  const { rows, top } = cardRows({ card, top: scene.cardTop, more, nowMs: scene.nowMs }, width, room);
  if (answer === null) return { rows, cursor: null, top };
  const cursor = { ...answer.cursor, y: answer.cursor.y + rows.length };
  return { rows: [...rows, ...answer.rows], cursor, top };
};

const CONNECTION: { readonly [state: string]: string } = {
  open: '● connected',
  connecting: '○ connecting',
  waiting: '○ connection lost',
  ended: '○ disconnected',
  detached: '○ connecting',
};

const headerRow = ({ desk: { view }, mode, loud }: Scene, width: number): Row => {
  const { state, connection } = view;
  const title = clean(oneLine(state.title ?? '', 80)) || state.sessionId.slice(0, 8);
  const model = clean(oneLine(state.model, 60));
  const asks = mode === '' ? [] : [loud ? `! ${mode.toUpperCase()}` : mode];
  const away = state.deletedAt === undefined ? [] : ['PUT AWAY'];
  const left = [' opta', ...away, ...asks, title, ...(model === '' ? [] : [model])].join(' · ');
  return spread(left, `${othersOf(view, width)}${CONNECTION[connection] ?? connection} `, width, 'bar');
};

/** Who else is attached, by name where there is room. */
const othersOf = ({ presence }: View, width: number): string => {
  if (presence.length < 2) return '';
  const names = [...new Set(presence.map((p) => clean(oneLine(p.writerId ?? p.clientId ?? '', 20))))].filter(Boolean);
  const shown = names.slice(0, 3).join(', ') + (names.length > 3 ? ' …' : '');
  const count = `${presence.length} attached`;
  return width >= 110 && names.length > 1 ? `${count} (${shown}) · ` : `${count} · `;
};

const statusRow = ({ desk, note, nowMs, helpKey }: Scene, reading: boolean, width: number): Row => {
  const right = width >= 50 && helpKey !== '' ? `${helpKey} help ` : '';
  if (note !== '') return spread(` ${clean(oneLine(note, 400))}`, right, width, 'bar');
  const { view, card, cards } = desk;
  const below = reading ? '↓ more below · ' : '';
  const { kind, text, writerId, startedAtMs, queued } = activityOf(view);
  const waiting = queued === 0 ? '' : ` · ${queued} waiting`;
  if (kind === 'idle') return spread(` ${below}ready${waiting}${speedOf(view.past)}`, right, width, 'bar');
  const elapsedS = startedAtMs === null ? 0 : Math.max(0, Math.floor((nowMs - startedAtMs) / 1_000));
  const put = card === null && cards.length > 0 ? ' (Tab shows it)' : '';
  const who = clean(oneLine(writerId, 30));
  return spread(` ${below}${who}: ${clean(text)}${put} ${elapsedS} s${waiting}`, right, width, 'bar');
};

const speedOf = (past: View['past']): string => {
  const end = past.at(-1)?.end;
  if (end?.outcome !== 'done') return '';
  const { promptTokens, completionTokens, speed } = end.stats;
  return ` · ${promptTokens}→${completionTokens} tokens${speed > 0 ? ` · ${speed.toFixed(0)}/s` : ''}`;
};

const queueRows = ({ state: { queue } }: View, width: number): Row[] => {
  const rows = queue.slice(0, QUEUE_ROWS_MAX).map((turn, i): Row => {
    const text = `${i + 1}. ${oneLine(turn.writerId, 30)}: ${oneLine(turn.content, 200)}`;
    return [[cropped(clean(` waits ${text}`), width), 'dim']];
  });
  const more = queue.length - rows.length;
  return more > 0 ? [...rows, [[cropped(` and ${more} more`, width), 'dim']]] : rows;
};

/** The rows around the cursor of what is written; signs at the side say that there is more. */
const composerRows = ({ composer }: Scene, width: number, max: number, roomy: boolean) => {
  const { rows, x, y, above, below } = composer.layout(Math.max(1, width - PROMPT.length - 1), max);
  const lines = rows.map((line, i): Row => {
    const lead = i === 0 ? (above ? '↑ ' : PROMPT) : below && i === rows.length - 1 ? '↓ ' : '  ';
    return fitted(
      [
        [lead, 'accent'],
        [line, 'plain'],
      ],
      width,
    );
  });
  const rule: Row[] = roomy ? [[['─'.repeat(width), 'dim']]] : [];
  return { rows: [...rule, ...lines], cursor: { x: Math.min(width - 1, PROMPT.length + x), y: rule.length + y } };
};

const welcome = ({ state }: View, width: number): Row[] => {
  const lines = ['', 'Say something, or /help. Others who open this session see what you see.', state.workspace ?? ''];
  return lines.map((line): Row => [[cropped(clean(`  ${line}`), width), 'dim']]);
};
