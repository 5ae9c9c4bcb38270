import { stripVTControlCharacters } from 'node:util';
import type { OptaClient } from '../../client/index.ts';
import { findSessions, titleOf } from '../../operations/session-records.ts';
import type { Mode } from '../../protocol/turn.ts';
import { chooseOnScreen } from '../../tui/choose.ts';
import { type CommandRoom, type Host, runTui, type SessionLine } from '../../tui/run.ts';
import { personName } from '../ask.ts';
import { callOf } from '../call.ts';
import { Conversation } from '../chat/conversation.ts';
import { FileNames } from '../chat/file-names.ts';
import { readKeys } from '../chat/key-file.ts';
import type { ChatOptions, ChatSetup } from '../chat/options.ts';
import { expandReferences } from '../chat/references.ts';
import { runShell } from '../chat/shell-line.ts';
import { parseSlash, type Room, runSlash } from '../chat/slash.ts';
import { SLASH } from '../chat/slash-table.ts';
import { newSession, type PickOne } from '../chat/target.ts';
import { type Context, daemonOf } from '../context.ts';
import { EXIT } from '../exit.ts';
import { type Output, oneLine } from '../output.ts';
import { clientOf, flagsFor, sessionOf } from './chat.ts';

const SESSIONS_SHOWN = 100;

/** The full screen. Resolves with the exit code; fails with what has to be said once the terminal is back. */
export const runScreen = async (
  ctx: Context,
  options: ChatOptions,
  setup: ChatSetup,
  model: string | undefined,
): Promise<number> => {
  const client = await clientOf(ctx, setup);
  const gone = (): void => process.exit(EXIT.interrupted);
  process.on('SIGTERM', gone);
  process.on('SIGHUP', gone);
  try {
    const terminal = { input: process.stdin, output: process.stdout, env: ctx.env };
    const several = `sessions with ${oneLine(options.resume ?? '', 40)}`;
    const pick: PickOne = (rows) => chooseOnScreen(several, rows, terminal);
    const sessionId = await sessionOf(ctx, client, options, model, pick);
    const settings = { mode: setup.mode, overrides: flagsFor(options, setup.overrides) };
    const talk = new Conversation(client, 'tui', personName(), settings, { presence: true });
    await runTui(hostOf(ctx, setup, talk), sessionId, terminal);
    ctx.output.err(`opta · session ${talk.sessionId} · opta tui -r ${talk.sessionId} goes on with it\n`);
    return EXIT.ok;
  } finally {
    process.removeListener('SIGTERM', gone);
    process.removeListener('SIGHUP', gone);
    client.close();
  }
};

const hostOf = (ctx: Context, setup: ChatSetup, talk: Conversation): Host => {
  const names = new FileNames(ctx.cwd);
  return {
    writerId: talk.writerId,
    client: talk.client,
    keys: readKeys(ctx.paths, ctx.cwd, ctx.env),
    mode: () => {
      const { mode, overrides } = talk.settings;
      const rights = overrides.dangerous ? 'nothing asks' : overrides.auto ? 'edits do not ask' : '';
      const text = [mode === 'chat' ? '' : mode, rights].filter(Boolean).join(', ');
      return { text, loud: rights !== '' };
    },
    cycleMode: () => {
      const place = CYCLE.indexOf(talk.settings.mode);
      talk.settings.mode = CYCLE[(place + 1) % CYCLE.length] as Mode;
    },
    open: (sessionId) => talk.open(sessionId),
    turn: (text) => {
      const roots = [talk.link.view.state.workspace ?? ctx.cwd, ...setup.addDirs];
      const { text: content, notes } = expandReferences(text, ctx.cwd, roots);
      return { turn: talk.turn(content), notes };
    },
    revive: async () =>
      void (await daemonOf(
        silent(ctx, () => undefined),
        {},
        setup.env,
        true,
      )),
    name: (text) => talk.name(text),
    commands: () => SLASH.commands.map(({ name, aliases, text }) => ({ name, aliases, about: text })),
    files: (typed) => names.under(typed),
    command: (line, room) => command(ctx, talk, line, room),
    sessions: () => sessionLines(talk.client),
    newSession: () => newSession(ctx, talk.client, {}),
    removeSession: async (id) => void (await talk.client.call('sessions.delete', { params: { id } })),
    models: async () => {
      const { models } = await talk.client.call('lmx.models', {});
      return models.map(({ model_id, status }) => ({ id: model_id, detail: oneLine(status, 40) }));
    },
    useModel: async (model) => {
      await talk.client.call('sessions.patch', { params: { id: talk.sessionId }, body: { model } });
      const { model: _, ...overrides } = talk.settings.overrides;
      talk.settings.overrides = overrides;
    },
  };
};

/** What the browser of sessions lists: the index, and what the daemon says of those that it holds. */
const sessionLines = async (client: OptaClient): Promise<readonly SessionLine[]> => {
  const [rows, now] = await Promise.all([
    findSessions(callOf(client), { limit: SESSIONS_SHOWN }),
    client.call('overview'),
  ]);
  const asks = new Map(now.sessions.map((session) => [session.sessionId, session.asks.length]));
  return rows.map((row) => ({
    id: row.sessionId,
    title: oneLine(row.title ?? row.preview ?? titleOf(undefined), 80),
    detail: `${row.updatedAt.slice(0, 16).replace('T', ' ')}  ${row.sessionId.slice(0, 8)}`,
    words: `${row.sessionId} ${row.model} ${row.workspace ?? ''}`,
    live: row.activeTurnId !== undefined,
    asks: asks.get(row.sessionId) ?? 0,
  }));
};

/** What Shift+Tab goes round in. */
const CYCLE: readonly Mode[] = ['chat', 'plan', 'research', 'review'];

const command = async (ctx: Context, talk: Conversation, line: string, room: CommandRoom): Promise<boolean> => {
  const { signal } = room;
  // Colours of the line mode would be shown as what they are made of.
  const say = (text: string): void => room.say(stripVTControlCharacters(text));
  if (line.startsWith('!')) {
    const { cwd, env } = ctx;
    const failed = await runShell({ command: line.slice(1).trim() || 'true', cwd, env, signal, say });
    if (failed !== null) say(`\n${failed}\n`);
    return true;
  }
  if (parseSlash(line) === null) return false;
  const place: Room = {
    ctx: silent(ctx, say),
    talk,
    signal,
    face: 'screen',
    leave: room.leave,
    go: room.open,
    send: room.submit,
  };
  await runSlash(SLASH, line, place);
  return true;
};

/** On the full screen nothing is written past it. */
const silent = (ctx: Context, say: (text: string) => void): Context => {
  const said = (text: string): void => say(text);
  const output = Object.assign(Object.create(ctx.output) as Output, {
    out: said,
    err: said,
    json: (value: unknown) => said(`${JSON.stringify(value)}\n`),
    pretty: (value: unknown) => said(`${JSON.stringify(value, null, 2)}\n`),
  });
  return { ...ctx, output, trace: () => undefined };
};
