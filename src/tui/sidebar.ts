import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';
import { clean, cropped, fitted, type Row, type Span } from './text.ts';

export const SIDEBAR_WIDTH = 28;

/** The column at the side: who is here, what waits, what was used. Exactly `height` rows. */
export const sidebarRows = (view: View, mode: string, height: number): Row[] => {
  const { state, past, presence, connection } = view;
  const width = SIDEBAR_WIDTH - 2;
  const line = (text: string, style: Span[1] = 'plain'): Row => [[cropped(clean(oneLine(text, 200)), width), style]];
  const head = (text: string): Row => [[text.toUpperCase(), 'dim']];
  const tokens = past.reduce((sum, { end }) => sum + (end && 'stats' in end && end.stats ? end.stats.tokens : 0), 0);
  const queue = state.queue.slice(0, 5).map((turn, i) => line(`${i + 1}. ${turn.writerId}: ${turn.content}`));
  const here = presence.slice(0, 6).map((p) => {
    const behind = p.role === 'observer' ? ' (looks on)' : '';
    return line(`${p.writerId ?? p.clientId ?? 'somebody'}${behind}`);
  });
  const rows: Row[] = [
    head('session'),
    line(state.title || state.sessionId.slice(0, 8), 'bold'),
    line(state.workspace ?? ''),
    line(connection === 'open' ? 'connected' : connection, connection === 'open' ? 'good' : 'bad'),
    [],
    head('asks'),
    line(state.model || 'the default model'),
    line(mode || 'normal'),
    [],
    head('turns'),
    line(`${past.length} ended, ${tokens} tokens`),
    line(`${state.toolCallCount} tool calls`),
    ...(state.queue.length === 0 ? [] : [[], head(`waiting (${state.queue.length})`), ...queue]),
    ...(presence.length === 0 ? [] : [[], head(`attached (${presence.length})`), ...here]),
    ...(state.remembered === undefined || state.remembered.length === 0
      ? []
      : [[], head('always allowed'), ...state.remembered.map(({ tool }) => line(tool))]),
  ];
  return Array.from({ length: height }, (_, i) => fitted([['│ ', 'dim'], ...(rows[i] ?? [])], SIDEBAR_WIDTH));
};
