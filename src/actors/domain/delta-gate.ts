/**
 * Gathers deltas while the session has an uncommitted tail, so that a flood coalesces by itself and an idle stream is not
 * delayed ("natural batching"). Order between the kinds is kept. Bounded by its user: see `size`.
 */
export interface DeltaGate<K extends string> {
  push(kind: K, text: string): void;
  /** Takes what was gathered, split so that one event carries at most `charsMax` characters. */
  cut(): { kind: K; texts: string[] }[];
  readonly size: number;
}

export const deltaGate = <K extends string = 'text' | 'thinking'>(charsMax: number): DeltaGate<K> => {
  let runs: { kind: K; text: string }[] = [];
  let size = 0;
  return {
    push(kind, text) {
      if (text === '') return;
      size += text.length;
      const last = runs.at(-1);
      if (last?.kind === kind) last.text += text;
      else runs.push({ kind, text });
    },
    cut() {
      const out = runs.map((run) => ({ kind: run.kind, texts: split(run.text, charsMax) }));
      runs = [];
      size = 0;
      return out;
    },
    get size() {
      return size;
    },
  };
};

/** Cuts text into pieces of at most `charsMax` UTF-16 units without parting a surrogate pair. */
export const split = (text: string, charsMax: number): string[] => {
  if (text.length <= charsMax) return [text];
  const out: string[] = [];
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + charsMax, text.length);
    const last = text.charCodeAt(to - 1);
    if (to < text.length && last >= 0xd800 && last <= 0xdbff && to - 1 > from) to--;
    out.push(text.slice(from, to));
    from = to;
  }
  return out;
};
