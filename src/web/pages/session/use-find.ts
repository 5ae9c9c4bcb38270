import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { RowSearch } from '../../../views/row-search.ts';
import type { Row } from '../../../views/rows.ts';

export interface Found {
  /** As it stands in the field. */
  typed: string;
  /** What `places` are the places of: the typed text, as soon as it has been looked for. */
  text: string;
  /** Places of the rows that hold it. */
  places: readonly number[];
  isIn: ReadonlySet<number>;
  /** Which of the places is looked at. */
  at: number;
  /** The row there. */
  current: string | null;
  setText: (text: string) => void;
  step: (by: 1 | -1) => void;
}

/** A pause in the typing, after which it is looked for. */
const PAUSE_MS = 90;
/** Of one frame; the rest is the drawing's. */
const SLICE_MS = 8;

/** What is searched for in the whole conversation, in the document or not. No letter waits for the search. */
export const useFind = (settled: readonly Row[], live: readonly Row[], finding: boolean): Found => {
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const wanted = finding ? typed : '';
  const done = useSearch(settled, wanted);
  const text = wanted === '' ? '' : (done?.wanted ?? '');
  const before = text === '' ? NOWHERE : (done?.places ?? NOWHERE);
  const inLive = new RowSearch(live, text);
  inLive.go();
  // The running turn alone is searched again while it is written.
  const liveKey = inLive.places.join();
  const places = useMemo(
    () => (liveKey === '' ? before : [...before, ...inLive.places.map((i) => i + settled.length)]),
    [before, liveKey, settled.length],
  );
  const isIn = useMemo(() => new Set(places), [places]);
  const shown = Math.min(at, Math.max(0, places.length - 1));
  const place = places[shown];
  return {
    typed,
    text,
    places,
    isIn,
    at: shown,
    current: place === undefined ? null : (rowAt(settled, live, place)?.id ?? null),
    setText: (next) => {
      setTyped(next);
      // The newest first: it is what people look for.
      setAt(Number.MAX_SAFE_INTEGER);
    },
    // Not among the places of something else.
    step: (by) => text === typed && setAt((shown + by + places.length) % Math.max(1, places.length)),
  };
};

const NOWHERE: readonly number[] = [];

export const rowAt = (settled: readonly Row[], live: readonly Row[], place: number): Row | undefined =>
  place < settled.length ? settled[place] : live[place - settled.length];

/** The last search that was done; the next is under way while another text is wanted. */
const useSearch = (rows: readonly Row[], wanted: string): RowSearch | null => {
  const [done, setDone] = useState<RowSearch | null>(null);
  const latest = useRef(done);
  latest.current = done;
  useEffect(() => {
    if (wanted === '') return setDone(null);
    const search = new RowSearch(rows, wanted, latest.current);
    const go = (): void => {
      const end = performance.now() + SLICE_MS;
      if (search.go(() => performance.now() >= end)) setDone(search);
      else timer = setTimeout(go, 0);
    };
    let timer = setTimeout(go, latest.current?.wanted === wanted ? 0 : PAUSE_MS);
    return () => clearTimeout(timer);
  }, [rows, wanted]);
  return done;
};
