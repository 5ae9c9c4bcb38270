import { requireDaemon } from '../../client/discover.ts';
import { type DaemonHttp, daemonHttp, type InspectedActor } from '../../client/http.ts';
import { sessionIdOf } from '../../operations/session-records.ts';
import { callOf } from '../call.ts';
import { chartTree } from '../chart-tree.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit.ts';
import { colour, oneLine, printable } from '../output.ts';

/** Looking never starts a daemon: what is not running has no live actors. */
const looking = async (ctx: Context, look: (http: DaemonHttp) => Promise<void>): Promise<number> => {
  const http = daemonHttp(await requireDaemon(ctx.paths.stateFile, 5_000));
  try {
    await look(http);
    return EXIT.ok;
  } finally {
    http.close();
  }
};

/** The statecharts of the live actors with their active states marked, as Mermaid text. */
export const inspectCommand = (
  ctx: Context,
  sessionId: string | undefined,
  options: { json?: boolean; tree?: boolean },
): Promise<number> =>
  looking(ctx, async (http) => {
    const root = await http.inspect(sessionId === undefined ? undefined : await sessionIdOf(callOf(http), sessionId));
    if (options.json) ctx.output.pretty(root);
    else if (options.tree) ctx.output.out(chartTree(root));
    else ctx.output.out(formatActor(root));
  });

export const formatActor = (actor: InspectedActor, depth = 0): string => {
  const indent = '  '.repeat(depth);
  const facts = Object.entries(actor.facts)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  const head = `${indent}${colour.bold(actor.chart)} ${oneLine(actor.id)}  ${colour.green(formatState(actor.state))}`;
  const chart = actor.mermaid === undefined ? '' : `${indented(printable(actor.mermaid).trimEnd(), `${indent}  `)}\n`;
  const children = actor.children.map((child) => formatActor(child, depth + 1)).join('');
  return `${head}\n${facts === '' ? '' : `${indent}  ${colour.dim(oneLine(facts, 400))}\n`}${chart}${children}`;
};

/** `{"running":{"step":"waiting"}}` → `running.step.waiting`; parallel regions are joined with ` + `. */
export const formatState = (state: unknown): string => {
  if (typeof state === 'string') return state;
  if (typeof state !== 'object' || state === null) return '';
  return Object.entries(state)
    .map(([name, inner]) => [name, formatState(inner)].filter(Boolean).join('.'))
    .join(' + ');
};

const indented = (text: string, by: string): string =>
  text
    .split('\n')
    .map((line) => `${by}${line}`)
    .join('\n');

/** In words: what the session waits for, since when, until when, and who can end the wait. */
export const whyCommand = (ctx: Context, sessionId: string, options: { json?: boolean }): Promise<number> =>
  looking(ctx, async (http) => {
    const why = await http.why(await sessionIdOf(callOf(http), sessionId));
    if (options.json) {
      ctx.output.pretty(why);
      return;
    }
    ctx.output.out(`${colour.bold(why.state)}: ${oneLine(why.text, 1_000)}\n`);
    ctx.output.out(`  since    ${why.since}\n`);
    if (why.until !== undefined) ctx.output.out(`  until    ${why.until}\n`);
    if (why.unblock !== undefined) ctx.output.out(`  unblocks ${oneLine(why.unblock, 400)}\n`);
  });
