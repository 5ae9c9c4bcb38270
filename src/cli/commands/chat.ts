import { isatty } from 'node:tty';
import { requireDaemon } from '../../client/discover.ts';
import { connect, type OptaClient } from '../../client/index.ts';
import { personName } from '../ask.ts';
import { callOf } from '../call.ts';
import { Conversation } from '../chat/conversation.ts';
import { LineChat } from '../chat/line-chat.ts';
import { type Lines, PipedLines, TerminalLines } from '../chat/lines.ts';
import { type ChatOptions, type ChatSetup, formatOf, setupOf, withStandard } from '../chat/options.ts';
import { newSession, type PickOne, pickSession } from '../chat/target.ts';
import { type Context, daemonOf } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';
import { colour, oneLine } from '../output.ts';
import { sessionModel, sessionSettings } from '../settings.ts';
import { providerNote, requireOwn } from '../turn-flags.ts';

/** How long a lost daemon may take to come back before a script is told. At a terminal a person decides. */
const RETRY_FOR_MS = 10_000;

export const runChat = async (ctx: Context, options: ChatOptions): Promise<number> => {
  const json = options.format === 'json';
  try {
    formatOf(options);
    const said = setupOf(ctx, options);
    const settings = await sessionSettings(ctx, true);
    for (const note of providerNote(said.overrides.provider)) ctx.output.err(`opta: ${note}\n`);
    const setup = withStandard(said, options, settings.config.defaultMode);
    const screen = options.tui || (!options.plain && !json && settings.config.tui.default);
    const terminal = isatty(0) && isatty(1);
    // One that can only write on draws no screen; a person sits there all the same.
    if (screen && terminal && ctx.env.TERM !== 'dumb') {
      const { runScreen } = await import('./chat-screen.ts');
      return await runScreen(ctx, options, setup, sessionModel(settings));
    }
    return await converse(ctx, options, setup, sessionModel(settings), screen && !terminal);
  } catch (cause) {
    return reportFailure(ctx.output, cause, json);
  }
};

/** By lines; `once`: the full screen was asked for where there is none, so one question is answered. */
const converse = async (
  ctx: Context,
  options: ChatOptions,
  setup: ChatSetup,
  model: string | undefined,
  once: boolean,
): Promise<number> => {
  const client = await clientOf(ctx, setup);
  let chat: LineChat | undefined;
  const interrupt = (): void => (chat ? chat.interrupt() : process.exit(EXIT.interrupted));
  const interactive = isatty(0) && isatty(2);
  const lines = interactive ? new TerminalLines([], interrupt) : new PipedLines();
  const ends = listen(interactive, interrupt);
  try {
    const sessionId = await sessionOf(ctx, client, options, model, interactive ? picker(lines) : null);
    const { mode, overrides } = setup;
    const settings = { mode, overrides: flagsFor(options, overrides) };
    const tuning = interactive ? {} : { retryForMs: RETRY_FOR_MS };
    const talk = new Conversation(client, 'chat', personName(), settings, { from: 'snapshot', ...tuning });
    chat = new LineChat(ctx, setup, talk, lines);
    if (interactive) ctx.output.err(welcome(sessionId, once));
    if (!once) return await chat.run(sessionId);
    const question = await lines.next('? ');
    return question === null || question.trim() === '' ? EXIT.ok : await chat.once(sessionId, question);
  } finally {
    ends();
    lines.close();
    client.close();
  }
};

const welcome = (sessionId: string, once: boolean): string =>
  colour.dim(`opta · session ${sessionId}${once ? '' : ' · /help lists commands, Ctrl-D leaves'}\n`);

/** Of a new session the model stands in the session itself, where `/model` and other clients change it. */
export const flagsFor = (
  { resume, session }: Pick<ChatOptions, 'resume' | 'session'>,
  { model, ...overrides }: ChatSetup['overrides'],
): ChatSetup['overrides'] =>
  model !== undefined && (resume !== undefined || session !== undefined) ? { ...overrides, model } : overrides;

/** The client of the running daemon, which is started if need be. */
export const clientOf = async (ctx: Context, setup: ChatSetup): Promise<OptaClient> => {
  requireOwn(setup.device, await daemonOf(ctx, {}, setup.env, setup.format === 'json'));
  return connect({ address: () => requireDaemon(ctx.paths.stateFile) });
};

/** The session that the options name, or a new one in this folder. */
export const sessionOf = async (
  ctx: Context,
  client: OptaClient,
  options: ChatOptions,
  model: string | undefined,
  pick: PickOne | null,
): Promise<string> => {
  if (options.session !== undefined) return (await client.getSession(options.session)).sessionId;
  if (options.resume !== undefined) return pickSession(callOf(client), options.resume, pick);
  return newSession(ctx, client, { model: options.model ?? model });
};

/** Asks which one, by its number. */
const picker =
  (lines: Lines): PickOne =>
  async (rows) => {
    for (const [i, row] of rows.entries()) lines.say(`${String(i + 1).padStart(3)}  ${oneLine(row, 160)}\n`);
    const text = await lines.next('Which one? ');
    const place = Number((text ?? '').trim());
    return Number.isInteger(place) && place >= 1 && place <= rows.length ? place : null;
  };

/**
 * Signals from outside. At a terminal they end this client and not its turn, which goes on in the daemon; a script's turn is
 * cancelled, since nobody will ever read its answer.
 */
const listen = (interactive: boolean, interrupt: () => void): (() => void) => {
  const gone = (): void => process.exit(EXIT.interrupted);
  const ending = interactive ? gone : interrupt;
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', ending);
  process.on('SIGHUP', ending);
  return () => {
    process.removeListener('SIGINT', interrupt);
    process.removeListener('SIGTERM', ending);
    process.removeListener('SIGHUP', ending);
  };
};
