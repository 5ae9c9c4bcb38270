import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Boxes and lines of our statecharts, laid out once when the page is built: the layout engine is larger than the page. Texts are drawn
 * in a fixed-width font, so their widths are known here.
 */

const NAME = { char: 8.2, line: 20 };
const NOTE = { char: 6.1, line: 15 };
const LABEL = { char: 6.1, line: 14 };
const LABEL_LINES_MAX = 4;
const CHARS_MAX = 34;
const PAD = 14;

const OPTIONS = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.json.edgeCoords': 'ROOT',
  'elk.json.shapeCoords': 'ROOT',
  'elk.randomSeed': '1',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
};
const SPACING = {
  'elk.spacing.nodeNode': '28',
  'elk.spacing.edgeNode': '18',
  'elk.spacing.edgeEdge': '14',
  'elk.spacing.edgeLabel': '5',
  'elk.layered.spacing.nodeNodeBetweenLayers': '30',
  'elk.layered.spacing.edgeNodeBetweenLayers': '16',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '12',
};

/** Resolves with the picture of one model: sizes and places in pixels, whole numbers. */
export const drawChart = async (model) => {
  const edges = edgesOf(model);
  const graph = {
    id: 'graph',
    layoutOptions: { ...OPTIONS, ...SPACING },
    children: [boxOf(model, model.root)],
    edges: edges.map(({ from, to, lines }, i) => ({
      id: `edge:${i}`,
      sources: [boxId(from)],
      targets: [boxId(to)],
      labels: [
        {
          text: lines.join('\n'),
          width: Math.ceil(widest(lines) * LABEL.char),
          height: lines.length * LABEL.line,
          layoutOptions: { 'elk.edgeLabels.inline': 'false' },
        },
      ],
    })),
  };
  const laid = await (await engine()).layout(graph);
  const places = new Map();
  const note = (node) => {
    places.set(node.id, node);
    for (const child of node.children ?? []) note(child);
  };
  note(laid);
  return {
    width: Math.ceil(laid.width),
    height: Math.ceil(laid.height),
    states: [...statesOf(model.root)].map(({ state, isInitial }) => {
      const { x, y, width, height } = places.get(boxId(state.id));
      const { id, key, type } = state;
      return { id, key, type, notes: notesOf(model, state), isInitial, ...whole({ x, y, width, height }) };
    }),
    edges: laid.edges.map((edge, i) => {
      const { from, to, lines } = edges[i];
      const [{ startPoint, bendPoints = [], endPoint }] = edge.sections;
      const [{ x, y }] = edge.labels;
      return {
        from,
        to,
        points: [startPoint, ...bendPoints, endPoint].map((p) => [Math.round(p.x), Math.round(p.y)]),
        label: { ...whole({ x, y }), lines },
      };
    }),
    transitions: model.transitions,
  };
};

let made = null;
/** Loaded when something has to be laid out: it is large. */
const engine = async () => {
  made ??= new (createRequire(import.meta.url)('elkjs/lib/elk.bundled.js'))();
  return made;
};

const boxId = (id) => `box:${id}`;
const whole = (numbers) => Object.fromEntries(Object.entries(numbers).map(([k, v]) => [k, Math.round(v)]));
const widest = (lines) => Math.max(0, ...lines.map((line) => line.length));
const short = (text) => (text.length <= CHARS_MAX ? text : `${text.slice(0, CHARS_MAX - 1)}…`);

function* statesOf(state, isInitial = false) {
  yield { state, isInitial };
  for (const child of state.children) yield* statesOf(child, child.id === state.initial);
}

const boxOf = (model, state) => {
  const notes = notesOf(model, state);
  const width = Math.ceil(Math.max(state.key.length * NAME.char + 2 * PAD + 12, widest(notes) * NOTE.char + 2 * PAD));
  const head = NAME.line + notes.length * NOTE.line + 16;
  if (state.children.length === 0) return { id: boxId(state.id), width: Math.max(96, width), height: head };
  return {
    id: boxId(state.id),
    layoutOptions: {
      ...SPACING,
      'elk.padding': `[top=${head + 10},left=18,bottom=18,right=18]`,
      'elk.nodeSize.constraints': 'MINIMUM_SIZE',
      'elk.nodeSize.minimum': `(${width},${head + 36})`,
    },
    children: state.children.map((child) => boxOf(model, child)),
  };
};

/** Loops of a state to itself stand in its box: drawn, they would hide what leads on. */
const notesOf = (model, state) => {
  const loops = model.transitions.filter((t) => t.from === state.id && t.to === state.id);
  return [
    ...state.invokes.map((name) => `runs ${name}`),
    ...state.entry.map((name) => `in / ${name}`),
    ...state.exit.map((name) => `out / ${name}`),
    ...[...new Set(loops.map((t) => `↻ ${wordsOf(t)}`))],
  ].map(short);
};

const wordsOf = ({ event, guard }) => `${event}${guard === undefined ? '' : ` [${guard}]`}`;

/** All transitions from one state to another are one line with several words. */
const edgesOf = ({ transitions }) => {
  const edges = new Map();
  for (const t of transitions) {
    if (t.to === null || t.to === t.from) continue;
    const key = `${t.from}\n${t.to}`;
    const edge = edges.get(key) ?? { from: t.from, to: t.to, all: [] };
    const words = short(wordsOf(t));
    if (!edge.all.includes(words)) edge.all.push(words);
    edges.set(key, edge);
  }
  return [...edges.values()].map(({ from, to, all }) => {
    const more = all.length - LABEL_LINES_MAX;
    return { from, to, lines: more > 0 ? [...all.slice(0, LABEL_LINES_MAX - 1), `and ${more + 1} more`] : all };
  });
};

/** Reads the machines that were compiled to `dist` and writes their pictures beside the page. What was laid out before is kept in `cache`. */
export const writeCharts = async ({ dist, out, cache }) => {
  const load = (file) => import(`${pathToFileURL(join(dist, file)).href}?${Date.now()}`);
  const [{ CHARTS }, { toChart }] = await Promise.all([load('actors/charts.js'), load('actors/chart-model.js')]);
  const models = Object.entries(CHARTS).map(([name, machine]) => toChart(name, machine));
  const made = createHash('sha256')
    .update(readFileSync(new URL(import.meta.url)))
    .update(JSON.stringify(models));
  const file = join(cache, `${made.digest('hex').slice(0, 32)}.json`);
  if (!existsSync(file)) {
    const drawn = {};
    for (const model of models) drawn[model.name] = await drawChart(model);
    mkdirSync(cache, { recursive: true });
    for (const old of readdirSync(cache)) rmSync(join(cache, old));
    writeFileSync(file, JSON.stringify(drawn));
  }
  writeFileSync(out, readFileSync(file));
};
