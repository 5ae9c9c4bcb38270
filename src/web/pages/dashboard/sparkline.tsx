const WIDTH = 240;
const HEIGHT = 44;

/** A line of the last values, with what it shows in words for those who do not see it. From zero, so that calm looks calm. */
export const Sparkline = ({
  values,
  atLeast,
  label,
  text,
}: {
  values: readonly number[];
  /** The top of the field, unless a value is higher. */
  atLeast: number;
  label: string;
  text: (value: number) => string;
}) => {
  const last = values.at(-1) ?? 0;
  const most = values.reduce((max, v) => Math.max(max, v), 0);
  const words = values.length < 2 ? `${label}: no history yet` : `${label}: now ${text(last)}, highest ${text(most)}`;
  const points = pointsOf(values, Math.max(atLeast, most));
  const [x, y] = points.at(-1) ?? [0, HEIGHT - 1];
  const line = points.map((p) => p.join(' ')).join('L');
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img">
      <title>{words}</title>
      <path class="spark-base" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      {points.length > 1 && (
        <>
          <path class="spark-area" d={`M${points[0]?.[0]} ${HEIGHT}L${line}L${x} ${HEIGHT}Z`} />
          <path class="spark-line" d={`M${line}`} />
          <path class="spark-end" d={`M${x} ${y}h0.01`} />
        </>
      )}
    </svg>
  );
};

/** The newest stands at the right; a short history begins in the middle and does not stretch. */
const pointsOf = (values: readonly number[], top: number): [number, number][] => {
  const step = WIDTH / Math.max(60, values.length - 1);
  return values.map((v, i) => [
    Math.round((WIDTH - (values.length - 1 - i) * step) * 10) / 10,
    Math.round((HEIGHT - 2 - (v / (top || 1)) * (HEIGHT - 6)) * 10) / 10,
  ]);
};
