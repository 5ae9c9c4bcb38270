import type { DrawnChart, DrawnEdge } from '../../../protocol/chart.ts';
import { activePaths } from '../../../views/chart.ts';
import type { Change } from './live-actors.ts';

/** Which part of a chart is seen: screen = chart × scale + shift. Pure, so that it can be tested apart from a screen. */
export interface Sight {
  scale: number;
  x: number;
  y: number;
}
export interface Size {
  width: number;
  height: number;
}

const SCALE_MIN = 0.15;
const SCALE_MAX = 3;
/** Below this its words cannot be read. */
const READABLE = 0.72;
const MARGIN = 8;

const between = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** All of it, in the middle; never larger than twice its size. */
export const fitted = (chart: Size, screen: Size): Sight => {
  const scale = between(
    Math.min((screen.width - 2 * MARGIN) / chart.width, (screen.height - 2 * MARGIN) / chart.height),
    SCALE_MIN,
    1.6,
  );
  return { scale, x: (screen.width - chart.width * scale) / 2, y: (screen.height - chart.height * scale) / 2 };
};

/** All of it when that can be read, else what is around the active states. */
export const followed = (chart: DrawnChart, screen: Size, active: ReadonlySet<string>): Sight => {
  const whole = fitted(chart, screen);
  if (whole.scale >= READABLE) return whole;
  const lit = chart.states.filter((s) => active.has(s.id));
  const inner = lit.filter((s) => s.id !== '' && !lit.some((other) => other.id.startsWith(`${s.id}.`)));
  const [spot = chart.states[0]] = inner;
  if (!spot) return whole;
  const x = screen.width / 2 - (spot.x + spot.width / 2) * READABLE;
  const y = screen.height / 2 - (spot.y + spot.height / 2) * READABLE;
  return kept({ scale: READABLE, x, y }, chart, screen);
};

/** Larger or smaller around a point of the screen. */
export const zoomed = (sight: Sight, by: number, at: { x: number; y: number }): Sight => {
  const scale = between(sight.scale * by, SCALE_MIN, SCALE_MAX);
  const k = scale / sight.scale;
  return { scale, x: at.x - (at.x - sight.x) * k, y: at.y - (at.y - sight.y) * k };
};

/** No further than that a part of the chart can still be seen; along a side that has room for all of it, all of it. */
export const kept = (sight: Sight, chart: Size, screen: Size): Sight => {
  const side = (shift: number, length: number, room: number): number => {
    const drawn = length * sight.scale;
    return drawn + 2 * MARGIN <= room
      ? between(shift, MARGIN, room - drawn - MARGIN)
      : between(shift, room - drawn - MARGIN, MARGIN);
  };
  return {
    scale: sight.scale,
    x: side(sight.x, chart.width, screen.width),
    y: side(sight.y, chart.height, screen.height),
  };
};

/** Of a chart the states that are active: those of the value, and the chart itself. */
export const litStates = (value: unknown): ReadonlySet<string> => new Set(['', ...activePaths(value)]);

/**
 * The line of the last transition: of its event, from what was active to what is. A step that went through several states at
 * once has no single line; then what was entered says it.
 */
export const takenEdge = (chart: DrawnChart, change: Change | undefined): DrawnEdge | null => {
  if (!change || change.end === 'stopped') return null;
  const before = litStates(change.from);
  const after = litStates(change.to);
  const may = (from: string, to: string | null, type: string): boolean =>
    type === change.event && to !== null && before.has(from) && after.has(to);
  const ways = chart.transitions.filter((t) => may(t.from, t.to, t.type));
  // The innermost source wins, as it does in the machine.
  const way = ways.sort((a, b) => b.from.length - a.from.length)[0];
  if (!way) return null;
  return chart.edges.find((e) => e.from === way.from && e.to === way.to) ?? null;
};

/** A line with round corners. */
export const linePath = (points: DrawnEdge['points'], radius = 5): string => {
  const [first, ...rest] = points;
  if (!first) return '';
  let d = `M${first[0]} ${first[1]}`;
  rest.forEach(([x, y], i) => {
    const next = rest[i + 1];
    const [px, py] = i === 0 ? first : (rest[i - 1] as [number, number]);
    if (!next) {
      d += `L${x} ${y}`;
      return;
    }
    const before = Math.hypot(x - px, y - py);
    const behind = Math.hypot(next[0] - x, next[1] - y);
    const r = Math.min(radius, before / 2, behind / 2);
    const near = (toX: number, toY: number, length: number): string =>
      `${round(x + ((toX - x) * r) / (length || 1))} ${round(y + ((toY - y) * r) / (length || 1))}`;
    d += `L${near(px, py, before)}Q${x} ${y} ${near(next[0], next[1], behind)}`;
  });
  return d;
};

const round = (n: number): number => Math.round(n * 10) / 10;

/** The tip at the end of a line, as a closed path. */
export const tipPath = (points: DrawnEdge['points']): string => {
  const [x, y] = points.at(-1) ?? [0, 0];
  const [px, py] = points.at(-2) ?? [x, y - 1];
  const length = Math.hypot(x - px, y - py) || 1;
  const [dx, dy] = [(x - px) / length, (y - py) / length];
  const at = (back: number, aside: number): string =>
    `${round(x - dx * back - dy * aside)} ${round(y - dy * back + dx * aside)}`;
  return `M${x} ${y}L${at(8, 3.5)}L${at(8, -3.5)}Z`;
};
