import type { DaemonHttp, SessionPage } from '../../client/http.ts';
import { type Context, withDaemon } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import { colour, oneLine, printable } from '../output.ts';

export interface SessionsOptions {
  json?: boolean;
  limit?: number;
  model?: string;
}

const LIST_DEFAULT = 20;
const PAGE_MAX = 100;

export const sessionsCommand = async (
  ctx: Context,
  action: string,
  id: string | undefined,
  options: SessionsOptions,
): Promise<number> => {
  switch (action) {
    case 'list':
      return list(ctx, options);
    case 'show':
      return show(ctx, needed(id, action), options);
    case 'export':
      return show(ctx, needed(id, action), { json: true });
    default:
      throw new UsageError(`Unknown action "${action}": list, show <id>, export <id>`);
  }
};

const needed = (id: string | undefined, action: string): string => {
  if (id) return id;
  throw new UsageError(`sessions ${action} needs a session id`);
};

type Row = SessionPage['sessions'][number];

const list = (ctx: Context, options: SessionsOptions): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const rows = await gather(http, options.limit ?? LIST_DEFAULT, options.model);
    if (options.json) {
      ctx.output.pretty(rows.map(toListItem));
      return EXIT.ok;
    }
    if (rows.length === 0) ctx.output.out('No sessions yet. Start one with: opta do "…"\n');
    for (const row of rows) ctx.output.out(`${formatRow(row)}\n`);
    return EXIT.ok;
  });

const gather = async (http: DaemonHttp, limit: number, model: string | undefined): Promise<Row[]> => {
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const page: SessionPage = await http.listSessions({
      limit: Math.min(PAGE_MAX, limit),
      ...(cursor === undefined ? {} : { cursor }),
    });
    rows.push(...page.sessions.filter((row) => model === undefined || row.model.includes(model)));
    cursor = page.sessions.length === 0 ? undefined : page.cursor;
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
