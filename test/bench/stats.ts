/** One figure over the repetitions: the median, and how far the others were from it. */
export interface Figure {
  median: number;
  min: number;
  max: number;
}

/** The value below which `share` of the samples lie; `NaN` of none. */
export const quantile = (samples: ArrayLike<number>, share: number): number => {
  if (samples.length === 0) return Number.NaN;
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
};

export const figure = (values: readonly number[]): Figure => ({
  median: quantile(values, 0.5),
  min: Math.min(...values),
  max: Math.max(...values),
});

/** Three digits that mean something. */
export const short = (value: number): string => {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 10_000) return `${Math.round(value / 1000).toLocaleString('en-US')}k`;
  if (Math.abs(value) >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
};

export const shown = (f: Figure, unit = ''): string => `${short(f.median)}${unit} [${short(f.min)}–${short(f.max)}]`;
