import type { DaemonHttp, SessionPage } from '../../client/http.ts';
import { type Context, withDaemon } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import { colour, oneLine, printable } from '../output.ts';

export interface SessionsOptions {
  json?: boolean;
  limit?: number;
  model?: string;
  /** fork: the last event that the new session knows. */
  at?: number;
  /** list, search: deleted sessions in place of the others. */
  deleted?: boolean;
}

const LIST_DEFAULT = 20;
const PAGE_MAX = 100;

export const sessionsCommand = async (
  ctx: Context,
  action: string,
  words: readonly string[],
  options: SessionsOptions,
): Promise<number> => {
  const [id] = words;
  switch (action) {
    case 'list':
      return list(ctx, options);
    case 'search':
    case 'find':
      if (words.length === 0) throw new UsageError('sessions search needs a word to look for');
      return list(ctx, options, words.join(' '));
    case 'show':
      return show(ctx, needed(id, action), options);
    case 'export':
      return show(ctx, needed(id, action), { json: true });
    case 'delete':
    case 'rm':
      return change(ctx, options, async (http) => {
        const { sessionId, cancelled } = await http.call('sessions.delete', { params: { id: needed(id, action) } });
        const ended = cancelled === 0 ? '' : `, ${cancelled} ${cancelled === 1 ? 'turn' : 'turns'} cancelled`;
        return [
          `Deleted ${sessionId}${ended}. Take it back with: opta sessions undelete ${sessionId}`,
          { id: sessionId },
        ];
      });
    case 'undelete':
      return change(ctx, options, async (http) => {
        const params = { id: needed(id, action) };
        const { sessionId } = await http.call('sessions.undelete', { params });
        return [`Restored ${sessionId}`, { id: sessionId }];
      });
    case 'fork':
      return change(ctx, options, async (http) => {
        const params = { id: needed(id, action) };
        const body = options.at === undefined ? {} : { atSeq: options.at };
        const { sessionId, forkedFrom } = await http.call('sessions.fork', { params, body });
        return [`${sessionId}, forked from ${params.id} at ${forkedFrom?.atSeq}`, { id: sessionId, forkedFrom }];
      });
    case 'queue':
      return queue(ctx, needed(id, action), options);
    default:
      throw new UsageError(`Unknown action "${action}": ${ACTIONS}`);
  }
};

const ACTIONS = 'list, search <words>, show <id>, export <id>, fork <id>, delete <id>, undelete <id>, queue <id>';

/** Runs one change, and says what it did: in words, or as one JSON object. */
const change = (
  ctx: Context,
  options: SessionsOptions,
  run: (http: DaemonHttp) => Promise<[words: string, facts: object]>,
): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const [words, facts] = await run(http);
    if (options.json) ctx.output.pretty(facts);
    else ctx.output.out(`${words}\n`);
    return EXIT.ok;
  });

/** What waits in a session, in the order in which it will start. */
const queue = (ctx: Context, id: string, options: SessionsOptions): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const { turns, activeTurnId } = await http.call('queue.list', { params: { id } });
    if (options.json) ctx.output.pretty({ turns, ...(activeTurnId === undefined ? {} : { activeTurnId }) });
    else if (turns.length === 0)
      ctx.output.out(`Nothing waits${activeTurnId === undefined ? '' : '; one turn runs'}.\n`);
    else
      for (const t of turns)
        ctx.output.out(`${t.position}  ${t.turnId}  ${oneLine(t.writerId, 24)}  ${oneLine(t.content, 80)}\n`);
    return EXIT.ok;
  });

const needed = (id: string | undefined, action: string): string => {
  if (id) return id;
  throw new UsageError(`sessions ${action} needs a session id`);
};

type Row = SessionPage['sessions'][number];

const list = (ctx: Context, options: SessionsOptions, q?: string): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const rows = await gather(http, options, q);
    if (options.json) {
      ctx.output.pretty(rows.map(toListItem));
      return EXIT.ok;
    }
    const none = q === undefined ? 'No sessions yet. Start one with: opta do "…"' : 'No session has these words.';
    if (rows.length === 0) ctx.output.out(`${none}\n`);
    for (const row of rows) ctx.output.out(`${formatRow(row)}\n`);
    return EXIT.ok;
  });

const gather = async (http: DaemonHttp, options: SessionsOptions, q: string | undefined): Promise<Row[]> => {
  const { limit = LIST_DEFAULT, model, deleted } = options;
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const page: SessionPage = await http.listSessions({
      limit: Math.min(PAGE_MAX, limit),
      ...(cursor === undefined ? {} : { cursor }),
      ...(q === undefined ? {} : { q }),
      ...(deleted ? { deleted: true } : {}),
    });
    rows.push(...page.sessions.filter((row) => model === undefined || row.model.includes(model)));
    cursor = page.cursor;
  } while (cursor !== undefined && rows.length < limit);
  return rows.slice(0, limit);
};

const titleOf = (title: string | undefined): string => title || '(untitled)';

const toListItem = (row: Row): object => ({
  id: row.sessionId,
  title: titleOf(row.title),
  tags: [],
  model: row.model,
  created: row.createdAt,
  messageCount: row.messageCount ?? 0,
  toolCallCount: row.toolCallCount,
});

const formatRow = (row: Row): string => {
  const state = row.activeTurnId === undefined ? '' : colour.green(' running');
  const when = row.updatedAt.slice(0, 16).replace('T', ' ');
  return `${row.sessionId}  ${colour.dim(when)}  ${oneLine(titleOf(row.title), 60)}${state}`;
};

const show = (ctx: Context, id: string, options: SessionsOptions): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const session = await http.getSession(id);
    const messages = options.limit === undefined ? session.messages : session.messages.slice(-options.limit);
    if (options.json) {
      ctx.output.pretty({
        id: session.sessionId,
        created: session.createdAt,
        updated: session.updatedAt,
        model: session.model,
        cwd: session.workspace ?? '',
        title: titleOf(session.title),
        tags: [],
        messages,
        toolCallCount: session.toolCallCount,
        compacted: false,
        messageCount: session.messages.length,
        queuedTurns: session.queuedTurns,
        ...(session.activeTurnId === undefined ? {} : { activeTurnId: session.activeTurnId }),
      });
      return EXIT.ok;
    }
    ctx.output.out(`${colour.bold(oneLine(titleOf(session.title)))}\n`);
    ctx.output.out(`${session.sessionId} · ${session.model || 'default model'} · ${session.createdAt}\n`);
    if (session.workspace !== undefined) ctx.output.out(`${oneLine(session.workspace)}\n`);
    for (const message of messages) {
      const calls = (message.tool_calls ?? []).map(
        (c) => `\n› ${c.function.name} ${oneLine(c.function.arguments, 120)}`,
      );
      ctx.output.out(`\n${colour.bold(message.role)}\n${printable(message.content)}${calls.join('')}\n`);
    }
    return EXIT.ok;
  });
