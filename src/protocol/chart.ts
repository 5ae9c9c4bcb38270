/** A statechart as plain facts, and as a picture of boxes and lines: what the page draws without knowing any machine. */

export interface ChartState {
  /** Keys from the top, joined by dots: `running.active`; '' for the chart itself. */
  id: string;
  key: string;
  type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  /** The child that is entered first. */
  initial?: string;
  /** Actors that run as long as it is active. */
  invokes: string[];
  entry: string[];
  exit: string[];
  children: ChartState[];
}

export interface ChartTransition {
  from: string;
  /** Null: it stays where it is, and only acts. */
  to: string | null;
  /** The event's type as the feed has it; '' for one that is taken at once. */
  type: string;
  /** The same for people: `done turn`, `after idle`, `always`. */
  event: string;
  guard?: string;
  /** Name or milliseconds of the delay. */
  delay?: string;
  actions: string[];
}

export interface ChartModel {
  name: string;
  root: ChartState;
  transitions: ChartTransition[];
}

export interface DrawnState {
  id: string;
  key: string;
  type: ChartState['type'];
  /** What stands under its name: actors that it runs, what it does on the way in and out. */
  notes: string[];
  isInitial: boolean;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Every transition between two states as one line. */
export interface DrawnEdge {
  from: string;
  to: string;
  /** Corners of the line, from its beginning to the tip of its arrow. */
  points: [x: number, y: number][];
  label: { x: number; y: number; lines: string[] };
}

export interface DrawnChart {
  width: number;
  height: number;
  /** Each before those within it. */
  states: DrawnState[];
  edges: DrawnEdge[];
  transitions: ChartTransition[];
}

/** What the daemon serves as `charts.json`, by the name of the chart. */
export interface DrawnCharts {
  [name: string]: DrawnChart;
}
