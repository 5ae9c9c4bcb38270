import { useEffect, useRef, useState } from 'preact/hooks';
import type { InspectedActor } from '../../../protocol/inspection.ts';
import { type ActorRow, actorRows, leafWords, SIGNS } from '../../../views/chart.ts';
import { memo } from '../../parts/memo.ts';

/** Who lives, as a tree that arrows lead through. Choosing is by Enter, Space or a click; moving alone chooses nothing. */
export const ActorTree = ({
  root,
  chosen,
  choose,
}: {
  root: InspectedActor;
  chosen: string;
  choose: (id: string) => void;
}) => {
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const [place, setPlace] = useState(chosen);
  const list = useRef<HTMLDivElement>(null);
  /** The focus follows the place when a key moved it, and only then. */
  const moved = useRef(false);
  const rows = actorRows(root, (id) => folded.has(id));
  const at = Math.max(
    0,
    rows.findIndex((row) => row.id === place) === -1
      ? rows.findIndex((row) => row.id === chosen)
      : rows.findIndex((row) => row.id === place),
  );
  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    list.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  });
  const fold = (id: string, shut: boolean): void =>
    setFolded((now) => {
      const next = new Set(now);
      if (shut) next.add(id);
      else next.delete(id);
      return next;
    });
  const go = (to: number): void => {
    const row = rows[Math.min(rows.length - 1, Math.max(0, to))];
    if (!row) return;
    moved.current = true;
    setPlace(row.id);
  };
  const onKey = (event: KeyboardEvent): void => {
    const row = rows[at];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const above = (): number => rows.findLastIndex((other, i) => i < at && other.depth < row.depth);
    switch (event.key) {
      case 'ArrowDown':
        go(at + 1);
        break;
      case 'ArrowUp':
        go(at - 1);
        break;
      case 'Home':
        go(0);
        break;
      case 'End':
        go(rows.length - 1);
        break;
      case 'ArrowRight':
        if (row.open === false) fold(row.id, false);
        else if (row.open) go(at + 1);
        break;
      case 'ArrowLeft':
        if (row.open) fold(row.id, true);
        else if (above() >= 0) go(above());
        break;
      case 'Enter':
      case ' ':
        choose(row.id);
        break;
      default:
        return;
    }
    event.preventDefault();
  };
  const pick = useRef({ choose, fold, setPlace });
  pick.current = { choose, fold, setPlace };
  const [onPick] = useState(() => (id: string) => {
    pick.current.setPlace(id);
    pick.current.choose(id);
  });
  const [onFold] = useState(() => (id: string, shut: boolean) => pick.current.fold(id, shut));
  return (
    <div class="actors" role="tree" aria-label="Actors" ref={list} onKeyDown={onKey}>
      {rows.map((row, i) => (
        <Row
          key={row.id}
          id={row.id}
          name={row.name}
          chart={row.chart}
          state={row.state}
          leaf={leafWords(row.actor.state)}
          tone={row.tone}
          depth={row.depth}
          open={row.open}
          isChosen={row.id === chosen}
          isHere={i === at}
          onPick={onPick}
          onFold={onFold}
        />
      ))}
    </div>
  );
};

type RowProps = Omit<ActorRow, 'actor'> & {
  leaf: string;
  isChosen: boolean;
  isHere: boolean;
  onPick: (id: string) => void;
  onFold: (id: string, shut: boolean) => void;
};

/** Drawn again only when what it says is another: with many actors most rows stay as they are. */
const Row = memo(({ id, name, chart, state, leaf, tone, depth, open, isChosen, isHere, onPick, onFold }: RowProps) => (
  // biome-ignore lint/a11y/useKeyWithClickEvents: the keys of a tree are heard by the tree
  <div
    class={`actor actor-${tone} depth-${Math.min(depth, 8)}`}
    role="treeitem"
    aria-level={depth + 1}
    aria-selected={isChosen}
    {...(open === null ? {} : { 'aria-expanded': open })}
    tabIndex={isHere ? 0 : -1}
    onClick={() => onPick(id)}
  >
    <span
      class="actor-fold"
      aria-hidden="true"
      onClick={(event) => {
        if (open === null) return;
        event.stopPropagation();
        onFold(id, open);
      }}
    >
      {open === null ? '' : open ? '▾' : '▸'}
    </span>
    <span class="sign" aria-hidden="true">
      {state === '' ? '·' : SIGNS[tone]}
    </span>
    <span class="actor-name">{name}</span>
    {chart !== name && chart !== 'session' && <span class="actor-chart">{chart}</span>}
    <span class="actor-state" title={state}>
      {leaf}
    </span>
  </div>
));
