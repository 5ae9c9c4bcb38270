import { stripVTControlCharacters } from 'node:util';
import { findSessions, titleOf } from '../../operations/session-records.ts';
import { type CommandRoom, type Host, runTui } from '../../tui/run.ts';
import { personName } from '../ask.ts';
import { callOf } from '../call.ts';
import { Conversation } from '../chat/conversation.ts';
import type { ChatOptions, ChatSetup } from '../chat/options.ts';
import { expandReferences } from '../chat/references.ts';
import { runShell } from '../chat/shell-line.ts';
import { parseSlash, type Room, runSlash } from '../chat/slash.ts';
import { SLASH } from '../chat/slash-table.ts';
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
    const sessionId = await sessionOf(ctx, client, options, model, null);
    const settings = { mode: setup.mode, overrides: flagsFor(options, setup.overrides) };
    const talk = new Conversation(client, 'tui', personName(), settings, { presence: true });
    const terminal = { input: process.stdin, output: process.stdout, env: ctx.env };
    await runTui(hostOf(ctx, setup, talk), sessionId, terminal);
    ctx.output.err(`opta · session ${talk.sessionId} · opta tui -r ${talk.sessionId} goes on with it\n`);
    return EXIT.ok;
  } finally {
    process.removeListener('SIGTERM', gone);
    process.removeListener('SIGHUP', gone);
    client.close();
  }
};

const hostOf = (ctx: Context, setup: ChatSetup, talk: Conversation): Host => ({
  writerId: talk.writerId,
  mode: () => {
    const { mode, overrides } = talk.settings;
    const rights = overrides.dangerous ? 'NOTHING ASKS' : overrides.auto ? 'edits do not ask' : '';
    return [mode === 'chat' ? '' : mode, rights].filter(Boolean).join(', ');
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
  sessions: async () => {
    const rows = await findSessions(callOf(talk.client), { limit: SESSIONS_SHOWN });
    return rows.map((row) => ({
      id: row.sessionId,
      title: oneLine(row.title ?? row.preview ?? titleOf(undefined), 80),
      detail: `${row.updatedAt.slice(0, 16).replace('T', ' ')}  ${row.sessionId.slice(0, 8)}${row.activeTurnId === undefined ? '' : ' ●'}`,
    }));
  },
  command: (line, room) => command(ctx, talk, line, room),
});

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
