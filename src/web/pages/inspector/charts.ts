import type { DrawnCharts } from '../../../protocol/chart.ts';

const DEADLINE_MS = 10_000;
let fetched: Promise<DrawnCharts> | null = null;

/** The pictures of our charts, which were laid out when the page was built. Fetched once; a failure is tried again. */
export const drawnCharts = (): Promise<DrawnCharts> => {
  fetched ??= load().catch((cause) => {
    fetched = null;
    throw cause;
  });
  return fetched;
};

/** From where the page is, which need not be the daemon that it speaks to. */
const load = async (): Promise<DrawnCharts> => {
  const answer = await fetch('/charts.json', { credentials: 'omit', signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!answer.ok) throw new Error(`the charts cannot be read: ${answer.status}`);
  return (await answer.json()) as DrawnCharts;
};
