import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireDaemon } from '../../client/discover.ts';
import { type DaemonHttp, daemonHttp } from '../../client/http.ts';
import { optaPaths } from '../../config/paths.ts';
import { toOptaError } from '../../protocol/errors.ts';
import { askPerson, type Decide, PermissionDesk, question } from '../ask.ts';
import { chartTree } from '../chart-tree.ts';
import { type Context, daemonOf } from '../context.ts';
import { type EnsuredDaemon, stopDaemon } from '../daemon-process.ts';
import { EXIT } from '../exit.ts';
import { canAsk, colour, oneLine, seconds } from '../output.ts';
import { TurnPrinter } from '../turn-printer.ts';
import { runTurn } from '../turn-run.ts';
import { crashDemo } from './demo-crash.ts';
import type { DemoWorld } from './demo-world.ts';

/** What `npm start` runs: one turn on the files of the current folder, on a daemon that is gone afterwards. */
export const demoCommand = async (given: Context, words: readonly string[]): Promise<number> => {
  const home = mkdtempSync(join(realpathSync(tmpdir()), 'opta-demo-'));
  const ctx = demoContext(given, home);
  const say = (text: string): void => ctx.output.out(`${text}\n`);
  const control = new AbortController();
  const leave = (): void => control.abort();
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, leave);
  let http: DaemonHttp | undefined;
  try {
    say(colour.bold('opta demo') + colour.dim(': fixed rules instead of a model; nothing leaves this machine'));
    const startedAt = performance.now();
    const start = (): Promise<EnsuredDaemon> => daemonOf(ctx, { engine: 'demo' });
    const daemon = await start();
    http = daemonHttp(daemon.state);
    // npm moves to the package's folder; the person is where INIT_CWD says.
    const workspace = ctx.env.INIT_CWD ?? ctx.cwd;
    const { host, port, pid } = daemon.state;
    say(`daemon     http://${host}:${port}, pid ${pid}, started in ${seconds(performance.now() - startedAt)}`);
    say(`data       ${home} (removed at the end)`);
    say(`workspace  ${workspace}`);
    const world: DemoWorld = { ctx, http, daemon, start, workspace, signal: control.signal, say, seen: {} };
    return words[0] === 'crash' && words.length === 1 ? await crashDemo(world) : await taskDemo(world, words.join(' '));
  } catch (cause) {
    if (!control.signal.aborted) throw cause;
    return EXIT.interrupted;
  } finally {
    http?.close();
    for (const signal of signals) process.removeListener(signal, leave);
    await stopDaemon(ctx.paths);
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    say(colour.dim(`stopped the daemon and removed ${home}`));
  }
};

const demoContext = (given: Context, home: string): Context => {
  const env = {
    ...given.env,
    OPTA_HOME: home,
    OPTA_ENGINE: 'demo',
    OPTA_HOST: '127.0.0.1',
    OPTA_LOOPBACK_ONLY: '1',
    OPTA_PORT: undefined,
    OPTA_MODEL: undefined,
    OPTA_API_KEY: undefined,
  };
  return { ...given, env, paths: optaPaths(env) };
};

const taskDemo = async (world: DemoWorld, words: string): Promise<number> => {
  const { say, http, workspace, ctx } = world;
  const note = freeNoteName(workspace);
  const task = words || `Summarise the layout of this folder and save it to ${note}`;
  const session = await http.createSession({ title: oneLine(task, 80), metadata: { workspace, source: 'opta demo' } });
  const exitCode = await showTurn(world, session.sessionId, session.seq ?? 0, task);
  if (words === '' && existsSync(join(workspace, note))) {
    rmSync(join(workspace, note));
    say(colour.dim(`removed ${note}, which this demo had written`));
  }
  if (world.signal.aborted) return EXIT.interrupted;
  const { asked } = world.seen;
  const when = asked ? 'while it waited for permission' : 'as it is now';
  say(
    `\n${colour.bold('The session as statecharts')} ${when}, active states marked (opta inspect shows them at any time):\n`,
  );
  say(chartTree(asked ?? (await http.inspect(session.sessionId))).trimEnd());
  say(
    `\nThe engine was a demo. With a real model, on any OpenAI-compatible server:\n  OPTA_HOST=127.0.0.1 OPTA_PORT=1234 npm run dev -- do "${oneLine(task, 60)}"\n`,
  );
  if (canAsk(ctx.env) && process.stdout.isTTY) await talk(world, session.sessionId);
  return exitCode;
};

/** A name that no file of the user's has. */
const freeNoteName = (workspace: string): string => {
  for (let i = 1; ; i++) {
    const name = i === 1 ? 'opta-demo-note.md' : `opta-demo-note-${i}.md`;
    if (!existsSync(join(workspace, name))) return name;
  }
};

/** Each line is a turn; an empty one, or the end of input, ends. */
const talk = async (world: DemoWorld, sessionId: string): Promise<void> => {
  world.say(colour.dim('Type a request ("help" says what it understands). An empty line ends.'));
  for (;;) {
    const line = (await question(colour.bold('› '), world.signal))?.trim();
    if (!line || world.signal.aborted) return;
    const { seq } = await world.http.getSession(sessionId);
    await showTurn(world, sessionId, seq ?? 0, line);
  }
};

const showTurn = async (world: DemoWorld, sessionId: string, afterSeq: number, task: string): Promise<number> => {
  const { ctx, http, signal, say } = world;
  say(`\n${colour.bold('task')}  ${oneLine(task, 200)}`);
  const printer = new TurnPrinter(ctx.output, 'text');
  const answer = canAsk(ctx.env) ? askPerson(ctx.output) : allowAloud(ctx);
  const desk = new PermissionDesk(
    http,
    sessionId,
    async (request, ...rest) => {
      world.seen.asked ??= await http.inspect(sessionId);
      return answer(request, ...rest);
    },
    ctx.output,
  );
  const beganAt = performance.now();
  const times = { taken: 0, firstText: 0, events: 0 };
  try {
    const view = await runTurn({
      http,
      address: () => requireDaemon(ctx.paths.stateFile),
      sessionId,
      afterSeq,
      turn: { clientId: 'opta-demo', writerId: 'opta-demo', content: task, mode: 'chat' },
      signal,
      onAttached: (attachment) => printer.throttle(attachment),
      onTurn: () => {
        times.taken = performance.now() - beganAt;
      },
      onRecord: (record, turn, text) => {
        times.events += 1;
        if (record.event === 'turn.token') times.firstText ||= performance.now() - beganAt;
        printer.record(record, text);
        desk.take(record);
        if (turn.end) printer.end(turn);
      },
      onNotice: (text) => printer.notice(text),
    });
    const total = seconds(performance.now() - beganAt);
    const first = times.firstText === 0 ? 'none' : seconds(times.firstText);
    say(colour.dim(`accepted ${seconds(times.taken)} · first text ${first} · ended ${total} · ${times.events} events`));
    if (view.end?.outcome === 'done') return EXIT.ok;
    say(`${colour.red('✗')} ${oneLine(view.end?.message ?? '')}`);
    return view.end?.outcome === 'cancelled' ? EXIT.interrupted : EXIT.error;
  } catch (cause) {
    say(`${colour.red('✗')} ${oneLine(toOptaError(cause).message)}`);
    return signal.aborted ? EXIT.interrupted : EXIT.error;
  }
};

/** With nobody to ask, the demo answers for its own tasks and says so. */
const allowAloud =
  (ctx: Context): Decide =>
  (request) => {
    ctx.output.err(`${colour.yellow('?')} ${oneLine(request.toolName)}  ${oneLine(request.summary, 300)}\n`);
    const note = `  allowed by this demo: there is no terminal to ask at`;
    return Promise.resolve({ decision: 'allow', decidedBy: 'opta-demo', note });
  };
