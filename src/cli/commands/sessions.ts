import type { DaemonHttp } from '../../client/http.ts';
import {
  exportRecord,
  findSessions,
  listItem,
  type SessionFilter,
  type SessionRow,
  sessionIdOf,
  tagsOf,
  titleOf,
} from '../../operations/session-records.ts';
import type { Call } from '../../protocol/operations.ts';
import { callOf } from '../call.ts';
import { type Context, withDaemon } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import { colour, oneLine, printable } from '../output.ts';

export interface SessionsOptions {
  json?: boolean;
  limit?: number;
  model?: string;
  tag?: string;
  /** In ms. */
  since?: number;
  source?: string;
  /** fork: the last event that the new session knows. */
  at?: number;
  /** list, search: deleted sessions in place of the others. */
  deleted?: boolean;
  /** export: json, jsonl or markdown. */
  format?: string;
  /** export: a file in place of stdout. */
  output?: string;
}

/** What an action is given: a session that was named, and the daemon that has it. */
interface Named {
  ctx: Context;
  http: DaemonHttp;
  call: Call;
  id: string;
  more: readonly string[];
  options: SessionsOptions;
}
type Action = (named: Named) => Promise<number>;

/** What is left to do for another command: to go on with a session, by its whole id. */
export interface Resume {
  resume: string;
}

export const sessionsCommand = async (
  ctx: Context,
  action: string,
  words: readonly string[],
  options: SessionsOptions,
): Promise<number | Resume> => {
  if (options.source === 'lmx')
    ctx.output.err('opta: --source has no effect: every session is in the daemon of this machine\n');
  if (action === 'list') return list(ctx, options);
  if (action === 'search' || action === 'find') {
    if (words.join('').trim() === '') throw new UsageError('sessions search needs a word to look for');
    return list(ctx, options, words.join(' '));
  }
  const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (run === undefined && action !== 'resume') throw new UsageError(`Unknown action "${action}": ${USAGE}`);
  const [text, ...more] = words;
  if (!text) throw new UsageError(`sessions ${action} needs a session id`);
  return withDaemon<number | Resume>(ctx, async (http) => {
    const call = callOf(http);
    const known = await sessionIdOf(call, text, { deleted: action === 'undelete' });
    // Whoever resumes a session that is not there must not find himself in a new one.
    if (run === undefined) return { resume: (await http.getSession(known)).sessionId };
    return run({ ctx, http, call, id: known, more, options });
  });
};

const USAGE =
  'list, search <words>, show <id>, resume <id>, export <id>, tag <id> <tags>, untag <id> [tags], fork <id>, delete <id>, undelete <id>, queue <id>';

/** Says what a change did: in words, or as one JSON object. */
const told = ({ ctx, options }: Named, words: string, facts: object): number => {
  if (options.json) ctx.output.pretty(facts);
  else ctx.output.out(`${words}\n`);
  return EXIT.ok;
};

const remove: Action = async (named) => {
  const { sessionId, cancelled } = await named.call('sessions.delete', { params: { id: named.id } });
  const ended = cancelled === 0 ? '' : `, ${cancelled} ${cancelled === 1 ? 'turn' : 'turns'} cancelled`;
  const words = `Deleted ${sessionId}${ended}. Take it back with: opta sessions undelete ${sessionId}`;
  return told(named, words, { id: sessionId });
};

const undelete: Action = async (named) => {
  const { sessionId } = await named.call('sessions.undelete', { params: { id: named.id } });
  return told(named, `Restored ${sessionId}`, { id: sessionId });
};

const fork: Action = async (named) => {
  const { id, options } = named;
  const body = options.at === undefined ? {} : { atSeq: options.at };
  const { sessionId, forkedFrom } = await named.call('sessions.fork', { params: { id }, body });
  return told(named, `${sessionId}, forked from ${id} at ${forkedFrom?.atSeq}`, { id: sessionId, forkedFrom });
};

const TAG_CHARS_MAX = 64;
const TAGS_MAX = 32;

const tag: Action = async (named) => {
  if (named.more.length === 0) throw new UsageError('sessions tag needs a tag');
  const bad = named.more.find((word) => word.trim() === '' || word.length > TAG_CHARS_MAX);
  if (bad !== undefined) throw new UsageError(`A tag has 1 to ${TAG_CHARS_MAX} characters`);
  return retag(named, (tags) => [...new Set([...tags, ...named.more])]);
};

/** Takes the tags away that are named, or all. */
const untag: Action = (named) =>
  retag(named, (tags) => tags.filter((word) => named.more.length > 0 && !named.more.includes(word)));

const retag = async (named: Named, change: (tags: string[]) => string[]): Promise<number> => {
  const { call, http, id } = named;
  const tags = change(tagsOf((await http.getSession(id)).metadata));
  if (tags.length > TAGS_MAX) throw new UsageError(`A session has at most ${TAGS_MAX} tags`);
  await call('sessions.patch', { params: { id }, body: { metadata: { tags: tags.length === 0 ? null : tags } } });
  return told(named, `${id}: ${tags.length === 0 ? 'no tags' : tags.join(', ')}`, { id, tags });
};

/** What waits in a session, in the order in which it will start. */
const queue: Action = async ({ ctx, call, id, options }) => {
  const { turns, activeTurnId } = await call('queue.list', { params: { id } });
  if (options.json) ctx.output.pretty({ turns, ...(activeTurnId === undefined ? {} : { activeTurnId }) });
  else if (turns.length === 0) ctx.output.out(`Nothing waits${activeTurnId === undefined ? '' : '; one turn runs'}.\n`);
  else
    for (const t of turns)
      ctx.output.out(`${t.position}  ${t.turnId}  ${oneLine(t.writerId, 24)}  ${oneLine(t.content, 80)}\n`);
  return EXIT.ok;
};

const show: Action = async ({ ctx, http, id, options }) => {
  const session = await http.getSession(id);
  const messages = options.limit === undefined ? session.messages : session.messages.slice(-options.limit);
  if (options.json) {
    ctx.output.pretty({
      ...exportRecord({ ...session, messages }),
      messageCount: session.messages.length,
      queuedTurns: session.queuedTurns,
      ...(session.activeTurnId === undefined ? {} : { activeTurnId: session.activeTurnId }),
    });
    return EXIT.ok;
  }
  ctx.output.out(`${colour.bold(oneLine(titleOf(session.title)))}${tagMark(tagsOf(session.metadata))}\n`);
  ctx.output.out(`${session.sessionId} · ${session.model || 'default model'} · ${session.createdAt}\n`);
  if (session.workspace !== undefined) ctx.output.out(`${oneLine(session.workspace)}\n`);
  for (const message of messages) {
    const calls = (message.tool_calls ?? []).map((c) => `\n› ${c.function.name} ${oneLine(c.function.arguments, 120)}`);
    ctx.output.out(`\n${colour.bold(message.role)}\n${printable(message.content)}${calls.join('')}\n`);
  }
  return EXIT.ok;
};

const exported: Action = async ({ ctx, http, id, options }) => {
  const { exportSession } = await import('./sessions-export.ts');
  return exportSession(ctx, http, id, options);
};

const ACTIONS: { [action: string]: Action } = {
  show,
  export: exported,
  delete: remove,
  rm: remove,
  undelete,
  fork,
  tag,
  untag,
  queue,
};

const filterOf = ({ limit, model, tag: wanted, since, deleted }: SessionsOptions, q?: string): SessionFilter => ({
  ...(limit === undefined ? {} : { limit }),
  ...(model === undefined ? {} : { model }),
  ...(wanted === undefined ? {} : { tag: wanted }),
  ...(since === undefined ? {} : { sinceMs: since }),
  ...(deleted === undefined ? {} : { deleted }),
  ...(q === undefined ? {} : { q }),
});

const list = (ctx: Context, options: SessionsOptions, q?: string): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const filter = filterOf(options, q);
    const rows = await findSessions(callOf(http), filter);
    if (options.json) {
      ctx.output.pretty(rows.map(listItem));
      return EXIT.ok;
    }
    if (rows.length === 0) ctx.output.out(`${noneOf(filter)}\n`);
    for (const row of rows) ctx.output.out(`${formatRow(row)}\n`);
    return EXIT.ok;
  });

const noneOf = ({ q, limit: _, ...narrowed }: SessionFilter): string => {
  if (q !== undefined) return 'No session has these words.';
  return Object.keys(narrowed).length > 0 ? 'No such session.' : 'No sessions yet. Start one with: opta do "…"';
};

const tagMark = (tags: readonly string[]): string =>
  tags.length === 0 ? '' : ` ${colour.dim(`[${oneLine(tags.join(', '), 80)}]`)}`;

const formatRow = (row: SessionRow): string => {
  const state = row.activeTurnId === undefined ? '' : colour.green(' running');
  const when = row.updatedAt.slice(0, 16).replace('T', ' ');
  return `${row.sessionId}  ${colour.dim(when)}  ${oneLine(titleOf(row.title), 60)}${tagMark(row.tags ?? [])}${state}`;
};
