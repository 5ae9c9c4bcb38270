import { oneLine } from '../client/printable.ts';
import type { InspectedActor, Why } from '../protocol/inspection.ts';
import { agoText, clockText } from './ago.ts';

/** What live actors do, as rows and words. The terminal's statechart pane and the page's inspector are two faces of it. */

/** Looks of a state: at rest, at work, waiting for a person, on its way to an end, in trouble. */
export type Tone = 'rest' | 'work' | 'asks' | 'ending' | 'bad';

/** A sign for each, so that none is told by colour alone. */
export const SIGNS: { readonly [T in Tone]: string } = { rest: '○', work: '●', asks: '▲', ending: '◐', bad: '✕' };

/** A state value of XState as the paths of its active states, each before those within it: `running`, `running.active`. */
export const activePaths = (value: unknown, above = ''): string[] => {
  const at = (key: string): string => (above === '' ? key : `${above}.${key}`);
  if (typeof value === 'string') return value === '' ? [] : [at(value)];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => [at(key), ...activePaths(below, at(key))]);
};

/** The same in words: `running › active`, of parallel regions `a › on + b › off`. */
export const stateWords = (value: unknown): string => {
  if (typeof value === 'string') return oneLine(value, 80);
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([key, below]) => [oneLine(key, 80), stateWords(below)].filter((word) => word !== '').join(' › '))
    .join(' + ');
};

/** A change of state without what both sides have in common: `generating → deciding`. */
export const changeWords = (from: unknown, to: unknown): string => {
  const [a, b] = [stateWords(from).split(' › '), stateWords(to).split(' › ')];
  let same = 0;
  while (same < a.length - 1 && same < b.length - 1 && a[same] === b[same]) same += 1;
  const [left, right] = [a.slice(same).join(' › '), b.slice(same).join(' › ')];
  return left === right ? left : [left, right].filter((words) => words !== '').join(' → ');
};

/** The innermost of the active states, without those around them: `asking`. */
export const leafWords = (value: unknown): string => {
  const paths = activePaths(value);
  const leaves = paths.filter((path) => !paths.some((other) => other.startsWith(`${path}.`)));
  return oneLine(leaves.map((path) => path.slice(path.lastIndexOf('.') + 1)).join(' + '), 80);
};

const TONES: readonly [RegExp, Tone][] = [
  [/quarantin|failed|crash|error|halted|read-?only/i, 'bad'],
  [/permission|asking|asked|question|\bopen$/i, 'asks'],
  [/cancelling|closing|stopping|draining|backoff|deleted|stopped|killing|ending/i, 'ending'],
  [/^(idle|ready|done|ended|expired|complete|.*finished)$/i, 'rest'],
];

/** Of a state in words, or of what `why` calls it. Unknown words are of something at work. */
export const toneOf = (words: string): Tone => {
  if (words === '') return 'rest';
  return TONES.find(([pattern]) => pattern.test(words))?.[1] ?? 'work';
};

/** One actor as a row of the tree. */
export interface ActorRow {
  actor: InspectedActor;
  id: string;
  /** The last part of the id; the whole of it for what stands at the top. */
  name: string;
  chart: string;
  /** In words; '' for an effect. */
  state: string;
  tone: Tone;
  /** 0 for the root. */
  depth: number;
  /** Null: nothing is below it. */
  open: boolean | null;
}

/** The tree as rows from the top to the bottom, without what is below a folded one. */
export const actorRows = (root: InspectedActor, isFolded: (id: string) => boolean = () => false): ActorRow[] => {
  const rows: ActorRow[] = [];
  const visit = (actor: InspectedActor, above: string, depth: number): void => {
    const state = stateWords(actor.state);
    const open = actor.children.length === 0 ? null : !isFolded(actor.id);
    const name = actor.id.startsWith(`${above}/`) ? actor.id.slice(above.length + 1) : actor.id;
    rows.push({
      actor,
      id: actor.id,
      name: oneLine(name, 80),
      chart: oneLine(actor.chart, 40),
      state,
      tone: toneOf(state),
      depth,
      open,
    });
    if (open) for (const child of actor.children) visit(child, actor.id, depth + 1);
  };
  visit(root, '', 0);
  return rows;
};

export const actorAt = (root: InspectedActor, id: string): InspectedActor | null => {
  if (root.id === id) return root;
  for (const child of root.children) {
    const found = actorAt(child, id);
    if (found) return found;
  }
  return null;
};

/** One state of a chart as a row. */
export interface StateRow {
  label: string;
  /** 0 for the outermost states. */
  level: number;
  active: boolean;
}

/** A chart's states with their nesting, from its Mermaid text: `state "label" as id` lines; `class a,b active` names the active ones. */
export const stateRows = (mermaid: string): StateRow[] => {
  const lit = new Set(/^\s*class (\S+) active$/m.exec(mermaid)?.[1]?.split(',') ?? []);
  let level = 0;
  const rows: StateRow[] = [];
  for (const line of mermaid.split('\n')) {
    const state = /^\s*state "([^"]*)" as (\w+)$/.exec(line);
    if (state?.[1] !== undefined) rows.push({ label: oneLine(state[1], 60), level, active: lit.has(state[2] ?? '') });
    else if (/^\s*state \w+ \{$/.test(line)) level += 1;
    else if (/^\s*\}$/.test(line)) level -= 1;
  }
  return rows;
};

/** An actor's facts as names and short texts; what is empty says nothing. */
export const factRows = ({ facts }: { facts: InspectedActor['facts'] }): [name: string, text: string][] =>
  Object.entries(facts).flatMap(([name, value]): [string, string][] => {
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
    return text === '' || value === null ? [] : [[oneLine(name, 40), oneLine(text, 200)]];
  });

/** `why` as lines with names: what it waits for, since when, until when, who can end it. */
export const whyRows = (why: Why, nowMs: number): [name: string, text: string][] => {
  const since = Date.parse(why.since);
  const until = why.until === undefined ? Number.NaN : Date.parse(why.until);
  const left = until - nowMs;
  return [
    ['waits for', oneLine(why.text, 400)],
    ...row('since', agoText(since, nowMs)),
    ...row('until', Number.isNaN(until) ? '' : left > 0 ? `${clockText(left)} left` : 'now'),
    ...row('unblocked by', oneLine(why.unblock ?? '', 300)),
  ];
};

const row = (name: string, text: string): [string, string][] => (text === '' ? [] : [[name, text]]);
