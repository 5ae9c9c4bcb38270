import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Row, RowReader } from '../../../views/rows.ts';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/states.tsx';
import { Find } from './find.tsx';
import { RowView } from './rows.tsx';
import { useDeskPart } from './use-desk.ts';
import { type Found, rowAt, useFind } from './use-find.ts';
import { around, earlier, endOf, grown, later, newest, type Window } from './window.ts';

/** Within so many pixels of the end somebody reads at the end. */
const END_PX = 48;
/** Further rows are fetched so far before they are needed. */
const REACH = '900px 0px';

/**
 * The conversation. Only a window of its rows is in the document; it moves with the reader, and what they read stays in its place.
 * The end is followed as long as they are there.
 */
export const Transcript = ({ finding, onFound }: { finding: boolean; onFound: () => void }) => {
  const view = useDeskPart((desk) => desk.view);
  const folds = useDeskPart((desk) => desk.folds);
  const reader = useRef<RowReader | null>(null);
  reader.current ??= new RowReader();
  const { settled, live } = reader.current.read(view);
  const total = settled.length + live.length;

  const [shown, setShown] = useState<Window>(() => newest(total));
  const [isAtEnd, setAtEnd] = useState(true);
  const w = grown(shown, total, isAtEnd);
  if (w !== shown) setShown(w);
  const end = endOf(w, total);

  const find = useFind(settled, live, finding);
  const scroll = useRef<HTMLElement>(null);
  const anchor = useAnchor(scroll);
  const atEnd = useRef(true);
  /** A row that is to be brought into view once it is in the document. */
  const wanted = useRef<string | null>(null);

  const move = (change: (w: Window, total: number) => Window): void => {
    anchor.keep();
    setShown((now) => change(now, total));
  };
  const follow = (): void => {
    atEnd.current = true;
    setAtEnd(true);
    setShown(newest(total));
    const el = scroll.current;
    if (el) el.scrollTop = el.scrollHeight;
  };
  const goTo = (place: number): void => {
    atEnd.current = false;
    setAtEnd(false);
    wanted.current = rowAt(settled, live, place)?.id ?? null;
    if (place < w.from || place >= end) setShown(around(place, total));
    else bring();
  };
  const bring = (): void => {
    const row = wanted.current;
    const el = row === null ? null : scroll.current?.querySelector(`[data-row="${CSS.escape(row)}"]`);
    if (!el) return;
    wanted.current = null;
    (el.querySelector('mark') ?? el).scrollIntoView({ block: 'center' });
  };

  useEffect(() => {
    const place = find.places[find.at];
    if (place !== undefined) goTo(place);
  }, [find.text, find.at, finding]);
  useLayoutEffect(() => {
    const el = scroll.current;
    if (!el) return;
    if (wanted.current !== null) bring();
    else if (atEnd.current) el.scrollTop = el.scrollHeight;
    else anchor.restore();
  });
  useEnds(scroll, w, total, move);
  useEffect(() => {
    const el = scroll.current;
    if (!el) return;
    // The composer has grown, or a card came up below.
    const size = new ResizeObserver(() => {
      if (atEnd.current) el.scrollTop = el.scrollHeight;
    });
    size.observe(el);
    return () => size.disconnect();
  }, []);

  return (
    <div class="transcript">
      {finding && <Find find={find} onClose={onFound} />}
      <section
        ref={scroll}
        class="scroll"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard
        tabIndex={0}
        aria-label="Conversation"
        onScroll={({ currentTarget: el }) => {
          const now = w.to === null && el.scrollHeight - el.scrollTop - el.clientHeight < END_PX;
          atEnd.current = now;
          if (now !== isAtEnd) setAtEnd(now);
        }}
        onKeyDown={({ key, target, currentTarget }) => {
          if (target !== currentTarget) return;
          if (key === 'End') follow();
          if (key === 'Home') goTo(0);
        }}
      >
        <div class="rows">
          {w.from > 0 ? (
            <p class="rows-more" data-edge="earlier">
              {w.from.toLocaleString()} earlier
            </p>
          ) : (
            total === 0 && (
              <Empty title="Nothing has been said yet">
                <p>What you write below starts the first turn.</p>
              </Empty>
            )
          )}
          <Part rows={settled} first={0} from={w.from} to={Math.min(end, settled.length)} {...{ folds, find }} />
          <Part
            rows={live}
            first={settled.length}
            from={Math.max(0, w.from - settled.length)}
            to={Math.max(0, end - settled.length)}
            {...{ folds, find }}
          />
          {w.to !== null && (
            <p class="rows-more" data-edge="later">
              {(total - end).toLocaleString()} later
            </p>
          )}
        </div>
      </section>
      {!isAtEnd && total > 0 && (
        <Button
          class="newest"
          small
          icon="down"
          onClick={() => {
            follow();
            // The button goes; what it led to has the focus then.
            scroll.current?.focus({ preventScroll: true });
          }}
        >
          Newest
        </Button>
      )}
    </div>
  );
};

const Part = ({
  rows,
  first,
  from,
  to,
  folds,
  find,
}: {
  rows: readonly Row[];
  /** The place of the first one in the conversation. */
  first: number;
  from: number;
  to: number;
  folds: { readonly [id: string]: boolean };
  find: Found;
}) => (
  <>
    {rows.slice(from, to).map((row, i) => (
      <RowView
        key={row.id}
        row={row}
        fold={folds[row.id]}
        // Rows without it stay as they are drawn, whatever is typed.
        mark={find.isIn.has(first + from + i) ? find.text : ''}
        isCurrent={row.id === find.current}
      />
    ))}
  </>
);

/** Keeps the first visible row where it is while rows come and go above it. */
const useAnchor = (scroll: { current: HTMLElement | null }) => {
  const kept = useRef<{ el: Element; top: number } | null>(null);
  return {
    keep: (): void => {
      const el = scroll.current;
      if (!el) return;
      const edge = el.getBoundingClientRect().top;
      const first = [...el.querySelectorAll('[data-row]')].find((row) => row.getBoundingClientRect().bottom > edge);
      kept.current = first ? { el: first, top: first.getBoundingClientRect().top } : null;
    },
    restore: (): void => {
      const now = kept.current;
      kept.current = null;
      if (!now?.el.isConnected || !scroll.current) return;
      const moved = now.el.getBoundingClientRect().top - now.top;
      if (moved !== 0) scroll.current.scrollTop += moved;
    },
  };
};

/** Asks for more rows when an edge of the window comes near. Set up anew for each window, since an edge may still be near. */
const useEnds = (
  scroll: { current: HTMLElement | null },
  { from, to }: Window,
  total: number,
  move: (change: (w: Window, total: number) => Window) => void,
): void => {
  const latest = useRef(move);
  latest.current = move;
  useEffect(() => {
    const el = scroll.current;
    if (!el || (from === 0 && to === null)) return;
    const seen = new IntersectionObserver(
      (edges) => {
        const near = edges.find(({ isIntersecting }) => isIntersecting);
        if (near) latest.current((near.target as HTMLElement).dataset.edge === 'earlier' ? earlier : later);
      },
      { root: el, rootMargin: REACH },
    );
    for (const edge of el.querySelectorAll('[data-edge]')) seen.observe(edge);
    return () => seen.disconnect();
  }, [from, to, to === null ? 0 : total]);
};
