import { useEffect, useRef, useState } from 'preact/hooks';
import type { DrawnChart } from '../../../protocol/chart.ts';
import type { InspectedActor } from '../../../protocol/inspection.ts';
import { stateWords } from '../../../views/chart.ts';
import { Button } from '../../parts/button.tsx';
import { memo } from '../../parts/memo.ts';
import {
  fitted,
  followed,
  kept,
  linePath,
  litStates,
  type Sight,
  type Size,
  takenEdge,
  tipPath,
  zoomed,
} from './chart-view.ts';
import type { Change } from './live-actors.ts';

const STEP = 60;
const ZOOM = 1.25;

/** The chart of one actor: nested boxes with the active ones lit. Dragged or with arrow keys it moves, `+` and `-` zoom, `0` fits it. */
export const ChartPane = ({
  chart,
  actor,
  change,
}: {
  chart: DrawnChart;
  actor: InspectedActor;
  change: Change | undefined;
}) => {
  const frame = useRef<HTMLDivElement>(null);
  const [screen, setScreen] = useState<Size>({ width: 0, height: 0 });
  /** Null: it follows the active states. */
  const [chosen, setChosen] = useState<Sight | null>(null);
  useEffect(() => {
    const box = frame.current;
    if (!box) return;
    const watch = new ResizeObserver(() => setScreen({ width: box.clientWidth, height: box.clientHeight }));
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  const lit = litStates(actor.state);
  const sight = chosen ?? followed(chart, screen, lit);
  const move = useRef<(next: (now: Sight) => Sight) => void>(() => undefined);
  move.current = (next) => setChosen((now) => kept(next(now ?? sight), chart, screen));
  const middle = { x: screen.width / 2, y: screen.height / 2 };
  useDrag(frame, move);
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = KEYS[event.key];
    if (event.key === '0') setChosen(fitted(chart, screen));
    else if (event.key === 'f') setChosen(null);
    else if (event.key === '+' || event.key === '=') move.current((s) => zoomed(s, ZOOM, middle));
    else if (event.key === '-') move.current((s) => zoomed(s, 1 / ZOOM, middle));
    else if (by) move.current((s) => ({ ...s, x: s.x + by[0], y: s.y + by[1] }));
    else return;
    event.preventDefault();
  };
  const words = `Statechart ${actor.chart}. Active: ${stateWords(actor.state) || 'none'}.`;
  return (
    <div class="chart">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what moves by keys must have the focus */}
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form */}
      <div class="chart-frame" ref={frame} tabIndex={0} role="group" aria-label={`${words} ${HELP}`} onKeyDown={onKey}>
        <svg class="chart-svg" role="img" aria-label={words}>
          {screen.width > 0 && (
            <g transform={`translate(${sight.x} ${sight.y}) scale(${sight.scale})`}>
              <Lines chart={chart} />
              <Boxes chart={chart} lit={[...lit].join('\n')} />
              {change && <Taken key={change.n} chart={chart} change={change} />}
            </g>
          )}
        </svg>
      </div>
      <div class="chart-tools">
        <span class="chart-hint soft">Drag it; Ctrl and the wheel zoom</span>
        <Button
          small
          kind="quiet"
          icon="plus"
          aria-label="Zoom in (+)"
          onClick={() => move.current((s) => zoomed(s, ZOOM, middle))}
        />
        <Button
          small
          kind="quiet"
          aria-label="Zoom out (-)"
          title="Zoom out (-)"
          onClick={() => move.current((s) => zoomed(s, 1 / ZOOM, middle))}
        >
          −
        </Button>
        <Button small kind="quiet" title="Show all of it (0)" onClick={() => setChosen(fitted(chart, screen))}>
          Fit
        </Button>
        <Button
          small
          kind="quiet"
          title="Keep the active states in sight (f)"
          aria-pressed={chosen === null}
          onClick={() => setChosen(null)}
        >
          Follow
        </Button>
      </div>
    </div>
  );
};

const HELP = 'Arrow keys move it, plus and minus zoom, 0 shows all, f follows the active states.';
const KEYS: { readonly [key: string]: readonly [number, number] | undefined } = {
  ArrowLeft: [STEP, 0],
  ArrowRight: [-STEP, 0],
  ArrowUp: [0, STEP],
  ArrowDown: [0, -STEP],
};

/** One pointer moves it, two zoom, a wheel with Ctrl zooms; a bare wheel is left to the page. */
const useDrag = (
  frame: { readonly current: HTMLDivElement | null },
  move: { readonly current: (next: (now: Sight) => Sight) => void },
): void =>
  useEffect(() => {
    const box = frame.current;
    if (!box) return;
    const held = new Map<number, { x: number; y: number }>();
    const at = (event: MouseEvent): { x: number; y: number } => {
      const { left, top } = box.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    const spread = (): number => {
      const [a, b] = [...held.values()];
      return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
    };
    const down = (event: PointerEvent): void => {
      if (event.button !== 0) return;
      held.set(event.pointerId, at(event));
      box.setPointerCapture(event.pointerId);
    };
    const drag = (event: PointerEvent): void => {
      const from = held.get(event.pointerId);
      if (!from) return;
      const to = at(event);
      const before = spread();
      held.set(event.pointerId, to);
      const by = before > 0 ? spread() / before : 1;
      const share = 1 / held.size;
      move.current((s) => zoomed({ ...s, x: s.x + (to.x - from.x) * share, y: s.y + (to.y - from.y) * share }, by, to));
    };
    const up = (event: PointerEvent): void => void held.delete(event.pointerId);
    const wheel = (event: WheelEvent): void => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      move.current((s) => zoomed(s, Math.exp(-event.deltaY / 300), at(event)));
    };
    box.addEventListener('pointerdown', down);
    box.addEventListener('pointermove', drag);
    box.addEventListener('pointerup', up);
    box.addEventListener('pointercancel', up);
    box.addEventListener('wheel', wheel, { passive: false });
    return () => {
      box.removeEventListener('pointerdown', down);
      box.removeEventListener('pointermove', drag);
      box.removeEventListener('pointerup', up);
      box.removeEventListener('pointercancel', up);
      box.removeEventListener('wheel', wheel);
    };
  }, []);

const Lines = memo(({ chart }: { chart: DrawnChart }) => (
  <g>
    {chart.edges.map((edge) => (
      <g key={`${edge.from} ${edge.to}`} class="edge">
        <path class="edge-line" d={linePath(edge.points)} />
        <path class="edge-tip" d={tipPath(edge.points)} />
      </g>
    ))}
  </g>
));

/** Boxes from the outside in, then the words of the lines, which stand before them. */
const Boxes = memo(({ chart, lit }: { chart: DrawnChart; lit: string }) => {
  const active = new Set(lit.split('\n'));
  return (
    <g>
      {chart.states.map((s) => (
        <g
          key={s.id}
          class={`state state-${s.type}${active.has(s.id) ? ' is-active' : ''}${s.id === '' ? ' state-root' : ''}`}
          transform={`translate(${s.x} ${s.y})`}
        >
          <rect class="state-box" width={s.width} height={s.height} rx="9" />
          {s.type === 'final' && (
            <rect class="state-rim" x="4" y="4" width={s.width - 8} height={s.height - 8} rx="6" />
          )}
          {s.isInitial && <circle class="state-first" cx="0" cy="0" r="4.5" />}
          <text class="state-name" x="13" y="23">
            {s.key}
          </text>
          {s.notes.map((note, i) => (
            <text key={note} class="state-note" x="13" y={39 + i * 15}>
              {note}
            </text>
          ))}
        </g>
      ))}
      {chart.edges.map(({ from, to, label }) => (
        <text key={`${from} ${to}`} class="edge-words">
          {label.lines.map((line, i) => (
            <tspan key={line} x={label.x} y={label.y + 10 + i * 14}>
              {line}
            </tspan>
          ))}
        </text>
      ))}
    </g>
  );
});

/** The way that was taken last lights up and fades. */
const Taken = ({ chart, change }: { chart: DrawnChart; change: Change }) => {
  const edge = takenEdge(chart, change);
  if (!edge) return null;
  return (
    <g class="taken" key={change.n}>
      <path class="edge-line" d={linePath(edge.points)} />
      <path class="edge-tip" d={tipPath(edge.points)} />
    </g>
  );
};
