import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';
import { type Card, cardRows } from './card.ts';
import type { Composer } from './composer.ts';
import type { Panel } from './panel.ts';
import { clean, cropped, type Row, spread } from './text.ts';
import type { Transcript } from './transcript.ts';

/** Everything that the screen shows at one moment. */
export interface Scene {
  view: View;
  mode: string;
  composer: Composer;
  panel: Panel | null;
  card: Card | null;
  /** How far the card's preview was scrolled. */
  cardTop: number;
  /** What a person should know now. */
  note: string;
  now: number;
}

export interface Frame {
  rows: Row[];
  cursor: { x: number; y: number } | null;
  cardTop: number;
}

const QUEUE_ROWS_MAX = 2;
const COMPOSER_ROWS_MAX = 6;
const PROMPT = '› ';

export const frameOf = (scene: Scene, transcript: Transcript, width: number, height: number): Frame => {
  const roomy = height >= 8;
  const header = height >= 3 ? [headerRow(scene, width)] : [];
  const status = height >= 2 ? [statusRow(scene, !transcript.following, width)] : [];
  const middle = height - header.length - status.length;
  if (scene.panel) {
    const rows = [...header, ...scene.panel.rows(width, middle), ...status];
    return { rows, cursor: null, cardTop: 0 };
  }
  const queue = height >= 10 ? queueRows(scene, width) : [];
  const most = Math.max(2, Math.floor(height / 2));
  const bottom = scene.card
    ? { ...cardRows(scene.card, scene.cardTop, scene.now, width, most), cursor: null }
    : composerRows(scene, width, roomy ? Math.min(COMPOSER_ROWS_MAX, Math.floor(height / 3)) : 1, roomy);
  const room = Math.max(0, middle - queue.length - bottom.rows.length);
  const { rows: said } = transcript.window(scene.view, width, room);
  const shown: Row[] = said.length === 0 && room > 2 ? welcome(scene, width) : said;
  const filler: Row[] = Array.from({ length: Math.max(0, room - shown.length) }, () => []);
  const rows = [...header, ...shown.slice(0, room), ...filler, ...queue, ...bottom.rows, ...status];
  const y = header.length + room + queue.length;
  const cursor = bottom.cursor && { x: bottom.cursor.x, y: y + bottom.cursor.y };
  return { rows: rows.slice(0, height), cursor, cardTop: bottom.top };
};

const CONNECTION: { [state: string]: string } = {
  open: '● connected',
  connecting: '○ connecting',
  waiting: '○ connection lost',
  ended: '○ disconnected',
  detached: '○ connecting',
};

const headerRow = ({ view, mode }: Scene, width: number): Row => {
  const { state, connection, presence } = view;
  const title = clean(oneLine(state.title ?? '', 80)) || state.sessionId.slice(0, 8);
  const model = clean(oneLine(state.model, 60));
  const others = presence.length > 1 ? `${presence.length} attached · ` : '';
  const left = [' opta', title, ...(model === '' ? [] : [model]), ...(mode === '' ? [] : [mode])].join(' · ');
  return spread(left, `${others}${CONNECTION[connection] ?? connection} `, width, 'bar');
};

const statusRow = ({ view, note, now, card }: Scene, reading: boolean, width: number): Row => {
  const { active, state, past } = view;
  const right = width >= 50 ? 'F1 help ' : '';
  if (note !== '') return spread(` ${clean(oneLine(note, 400))}`, right, width, 'bar');
  const below = reading ? '↓ more below · ' : '';
  const waiting = state.queue.length === 0 ? '' : ` · ${state.queue.length} waiting`;
  if (!active) return spread(` ${below}ready${waiting}${speedOf(past)}`, right, width, 'bar');
  const elapsedS = Math.max(0, Math.floor((now - Date.parse(active.startedAt)) / 1_000));
  const call = active.items.findLast((item) => item.kind === 'tool' && item.state === 'running');
  const asked = active.items.some((item) => item.kind === 'tool' && item.state === 'asked');
  let does = active.open?.kind === 'thinking' ? 'thinking' : active.open ? 'writing' : 'waiting for the model';
  if (call?.kind === 'tool') does = `running ${oneLine(call.name, 40)}`;
  if (asked) does = card ? 'asks for a decision' : 'asks for a decision (Tab shows it)';
  if (state.active?.cancelling) does = 'cancelling';
  const who = clean(oneLine(active.writerId, 30));
  return spread(` ${below}${who}: ${clean(does)} ${elapsedS} s${waiting}`, right, width, 'bar');
};

const speedOf = (past: View['past']): string => {
  const end = past.at(-1)?.end;
  if (end?.outcome !== 'done') return '';
  const { promptTokens, completionTokens, speed } = end.stats;
  return ` · ${promptTokens}→${completionTokens} tokens${speed > 0 ? ` · ${speed.toFixed(0)}/s` : ''}`;
};

const queueRows = ({ view }: Scene, width: number): Row[] => {
  const { queue } = view.state;
  const rows = queue.slice(0, QUEUE_ROWS_MAX).map((turn, i): Row => {
    const text = `${i + 1}. ${oneLine(turn.writerId, 30)}: ${oneLine(turn.content, 200)}`;
    return [[cropped(clean(` waits ${text}`), width), 'dim']];
  });
  const more = queue.length - rows.length;
  return more > 0 ? [...rows, [[cropped(` and ${more} more`, width), 'dim']]] : rows;
};

/** The last rows of what is written, with the cursor among them. */
const composerRows = ({ composer }: Scene, width: number, max: number, roomy: boolean) => {
  const { rows, x, y } = composer.layout(Math.max(1, width - PROMPT.length - 1));
  const from = Math.min(Math.max(0, rows.length - max), y);
  const lines = rows.slice(from, from + max).map((line, i): Row => {
    const lead = from + i === 0 ? PROMPT : '  ';
    return [
      [lead, 'accent'],
      [line, 'plain'],
    ];
  });
  const rule: Row[] = roomy ? [[['─'.repeat(width), 'dim']]] : [];
  return { rows: [...rule, ...lines], top: 0, cursor: { x: PROMPT.length + x, y: rule.length + y - from } };
};

const welcome = ({ view }: Scene, width: number): Row[] => {
  const lines = [
    '',
    'Say something, or /help. Others who open this session see what you see.',
    view.state.workspace ?? '',
  ];
  return lines.map((line): Row => [[cropped(clean(`  ${line}`), width), 'dim']]);
};
