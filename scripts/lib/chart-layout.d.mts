import type { ChartModel, DrawnChart } from '../../src/protocol/chart.ts';

export function drawChart(model: ChartModel): Promise<DrawnChart>;
export function writeCharts(where: { dist: string; out: string; cache: string }): Promise<void>;
