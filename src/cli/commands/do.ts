import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { requireDaemon } from '../../client/discover.ts';
import { type DaemonHttp, daemonHttp } from '../../client/http.ts';
import type { TurnView } from '../../client/turn-view.ts';
import { OptaError } from '../../protocol/errors.ts';
import { IdempotencyKeySchema, type Overrides } from '../../protocol/turn.ts';
import { askPerson, denyUnattended, PermissionDesk } from '../ask.ts';
import { type Context, daemonOf } from '../context.ts';
import { asksNobody, withDefaultMode } from '../default-mode.ts';
import { EXIT, exitCodeOf, failureText, reportFailure, UsageError } from '../exit.ts';
import { offerLine, offersFor } from '../local-servers.ts';
import { parseDevice, parseMode, parseProvider } from '../options.ts';
import { canAsk } from '../output.ts';
import { sessionModel, sessionSettings } from '../settings.ts';
import { readTask } from '../stdin.ts';
import { TurnPrinter } from '../turn-printer.ts';
import { runTurn } from '../turn-run.ts';

export interface DoOptions {
  model?: string;
  provider?: string;
  device?: string;
  format: string;
  quiet?: boolean;
  output?: string;
  mode?: string;
  commit: boolean;
  checkpoints: boolean;
  auto?: boolean;
  dangerous?: boolean;
  yolo?: boolean;
  addDir?: string[];
  session?: string;
  idempotencyKey?: string;
  /** Milliseconds. */
  timeout?: number;
}

type Format = 'text' | 'json' | 'jsonl' | 'quiet';

/** What is known of the run when it fails: a caller can look at the session afterwards. */
interface Ids {
  session_id?: string;
  turn_id?: string;
  status?: string;
}

export const runDo = async (ctx: Context, words: readonly string[], options: DoOptions): Promise<number> => {
  const ids: Ids = {};
  let format: Format = 'text';
  try {
    format = formatOf(options);
    const job = await prepare(ctx, words, options, format);
    const view = await execute(ctx, job, ids);
    return await finish(ctx, job, view, ids);
  } catch (cause) {
    return await fail(ctx, cause, format, options, ids);
  }
};

interface Job {
  task: string;
  format: Format;
  mode: ReturnType<typeof parseMode>;
  overrides: Overrides;
  /** Nobody is asked, even at a terminal. */
  unattended: boolean;
  options: DoOptions;
  outputPath?: string;
  /** Of a new session, where a flag, the environment or the project names one. */
  model?: string;
  env: { [name: string]: string | undefined };
}

/** `--quiet` wins over `--format`. */
const formatOf = ({ quiet, format }: DoOptions): Format => {
  if (quiet) return 'quiet';
  if (format === 'text' || format === 'json' || format === 'jsonl') return format;
  throw new UsageError(`Unknown format "${format}": text, json or jsonl`);
};

/** Everything that can be refused is refused before anything is started. */
const prepare = async (ctx: Context, words: readonly string[], given: DoOptions, format: Format): Promise<Job> => {
  const provider = given.provider === undefined ? undefined : parseProvider(given.provider);
  const device = given.device === undefined ? undefined : parseDevice(given.device);
  checkKey(given);
  const task = await readTask(words);
  const settings = await sessionSettings(ctx, format !== 'quiet');
  const options = withDefaultMode(given, settings.config.defaultMode, 'do');
  const mode = parseMode(options.mode);
  const model = options.model ?? sessionModel(settings);
  const outputPath = options.output === undefined ? undefined : writablePath(ctx.cwd, options.output);
  if (!mode.known) ctx.output.err(`opta: unknown mode "${options.mode}", using do\n`);
  if (options.addDir?.length)
    ctx.output.err('opta: --add-dir has no effect: a session has one workspace, the current folder\n');
  return {
    task,
    format,
    mode,
    options,
    unattended: asksNobody(settings.config.defaultMode),
    overrides: overridesOf(options, provider, mode.ceo),
    ...(model === undefined ? {} : { model }),
    ...(outputPath === undefined ? {} : { outputPath }),
    env: device
      ? { ...ctx.env, OPTA_HOST: device.host, OPTA_PORT: device.port === undefined ? undefined : String(device.port) }
      : { ...ctx.env },
  };
};

const checkKey = ({ idempotencyKey, session }: DoOptions): void => {
  if (idempotencyKey === undefined) return;
  if (session === undefined)
    throw new UsageError('--idempotency-key goes with --session: a key counts within one session');
  const bad = IdempotencyKeySchema.safeParse(idempotencyKey).error;
  if (bad) throw new UsageError(`Invalid --idempotency-key: ${bad.issues[0]?.message}`);
};

const overridesOf = (o: DoOptions, provider: string | undefined, ceo: boolean): Overrides => ({
  ...(o.model === undefined ? {} : { model: o.model }),
  ...(provider === undefined ? {} : { provider }),
  ...(o.dangerous || o.yolo ? { dangerous: true } : {}),
  ...(o.auto ? { auto: true } : {}),
  ...(o.commit ? {} : { noCommit: true }),
  ...(o.checkpoints ? {} : { noCheckpoints: true }),
  ...(ceo ? { autonomyMode: 'ceo' as const } : {}),
});

const writablePath = (cwd: string, path: string): string => {
  const full = resolve(cwd, path);
  try {
    accessSync(dirname(full), constants.W_OK);
  } catch {
    throw new UsageError(`Cannot write ${full}: its folder is missing or not writable`);
  }
  return full;
};

const execute = async (ctx: Context, job: Job, ids: Ids): Promise<TurnView> => {
  const control = new AbortController();
  const ended = endings(ctx, job, control);
  let http: DaemonHttp | undefined;
  try {
    const { state, started } = await daemonOf(ctx, {}, job.env, job.format === 'quiet');
    if (job.options.device !== undefined && !started) {
      throw new OptaError(
        'daemon-already-running',
        '--device is for a daemon that this command starts; one is running with an inference host of its own. Stop it first: opta daemon stop',
      );
    }
    http = daemonHttp(state, () => requireDaemon(ctx.paths.stateFile));
    const view = await converse(ctx, job, ids, http, control);
    // A turn that finished first is done, whoever wanted it to end ([CX3]).
    if (view.end?.outcome === 'cancelled') throw ended.reason() ?? new OptaError('cancelled', view.end.message);
    return view;
  } catch (cause) {
    // Whatever else broke on the way out, the cause is the deadline or the person.
    throw ended.reason() ?? cause;
  } finally {
    ended.dispose();
    http?.close();
  }
};

const converse = async (
  ctx: Context,
  job: Job,
  ids: Ids,
  http: DaemonHttp,
  control: AbortController,
): Promise<TurnView> => {
  const session = await openSession(ctx, job, http);
  ids.session_id = session.sessionId;
  const printer = new TurnPrinter(ctx.output, job.format);
  const interactive = canAsk(ctx.env) && job.format !== 'quiet' && !job.unattended;
  const desk = new PermissionDesk(
    http,
    session.sessionId,
    interactive ? askPerson(ctx.output) : denyUnattended,
    ctx.output,
  );
  const view = await runTurn({
    http,
    address: () => requireDaemon(ctx.paths.stateFile),
    sessionId: session.sessionId,
    afterSeq: session.seq ?? 0,
    turn: {
      clientId: 'legacy-http',
      writerId: 'legacy-http',
      content: job.task,
      mode: job.mode.mode,
      overrides: job.overrides,
      ...(job.options.idempotencyKey === undefined ? {} : { idempotencyKey: job.options.idempotencyKey }),
    },
    signal: control.signal,
    onAttached: (attachment) => printer.throttle(attachment),
    onTurn: (turnId) => {
      ctx.trace(`turn ${turnId} of session ${session.sessionId} accepted`);
      ids.turn_id = turnId;
      printer.begin(session.sessionId, turnId);
    },
    onRecord: (record, turn, text) => {
      printer.record(record, text);
      desk.take(record);
      if (turn.end) printer.end(turn);
    },
    onNotice: (text) => printer.notice(text),
    onReplay: (caughtUp) => desk.after(caughtUp),
  });
  return view.model === '' ? { ...view, model: session.model } : view;
};

const TITLE_CHARS_MAX = 80;

const openSession = async (
  ctx: Context,
  job: Job,
  http: DaemonHttp,
): Promise<{ sessionId: string; seq?: number | undefined; model: string }> => {
  const { session } = job.options;
  const { model } = job;
  if (session !== undefined) return http.getSession(session);
  const title = job.task.replace(/\s+/g, ' ').slice(0, TITLE_CHARS_MAX);
  return http.createSession({
    title,
    ...(model === undefined ? {} : { model }),
    metadata: { workspace: ctx.cwd, source: 'opta do' },
  });
};

/** What may end the run early: Ctrl-C, a signal, the deadline. Each cancels the turn at the daemon first. */
const endings = (ctx: Context, job: Job, control: AbortController) => {
  let why: OptaError | undefined;
  let signals = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    signals += 1;
    // A second one means now; the first cancel is on its way or will never arrive.
    if (signals > 1) process.exit(EXIT.interrupted);
    ctx.output.err('\nInterrupted: cancelling the turn (once more to leave at once)\n');
    why = new OptaError('cancelled', `Interrupted by ${name}`);
    control.abort();
  };
  const names: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of names) process.on(name, onSignal);
  const { timeout } = job.options;
  const timer =
    timeout === undefined
      ? undefined
      : setTimeout(() => {
          why ??= new OptaError('timeout', `The turn took longer than ${timeout / 1_000} s and was cancelled`);
          control.abort();
        }, timeout);
  return {
    reason: () => why,
    dispose: () => {
      clearTimeout(timer);
      for (const name of names) process.removeListener(name, onSignal);
    },
  };
};

const STATUS = { done: 'completed', error: 'error', cancelled: 'cancelled', interrupted: 'interrupted' } as const;

const finish = async (ctx: Context, job: Job, view: TurnView, ids: Ids): Promise<number> => {
  const { end } = view;
  if (!end) throw new OptaError('internal', 'The turn has no end');
  ids.status = STATUS[end.outcome];
  if (end.outcome !== 'done') {
    return emitFailure(ctx, job.format, job.outputPath, end, exitCodeOf(end.code), ids);
  }
  const result = {
    result: view.text,
    tool_calls: view.toolCalls,
    model: view.model,
    exit_code: EXIT.ok,
    ...ids,
  };
  if (job.outputPath !== undefined) {
    writeFileSync(job.outputPath, isJson(job.format) ? `${JSON.stringify(result)}\n` : view.text);
  }
  if (job.format === 'json') ctx.output.json(result);
  if (job.format === 'jsonl') ctx.output.json({ type: 'result', ...result });
  return EXIT.ok;
};

const isJson = (format: Format): boolean => format === 'json' || format === 'jsonl';

const fail = async (ctx: Context, cause: unknown, format: Format, options: DoOptions, ids: Ids): Promise<number> => {
  if (cause instanceof OptaError) {
    if (cause.code === 'cancelled' || cause.code === 'timeout') ids.status = 'cancelled';
    const path = options.output === undefined ? undefined : resolve(ctx.cwd, options.output);
    return emitFailure(ctx, format, path, cause, exitCodeOf(cause.code), ids);
  }
  return reportFailure(ctx.output, cause, isJson(format), format === 'jsonl' ? { type: 'result', ...ids } : ids);
};

const emitFailure = async (
  ctx: Context,
  format: Format,
  path: string | undefined,
  error: { message: string; code: string },
  exitCode: number,
  ids: Ids,
): Promise<number> => {
  const offers = await offersFor(ctx, error.code);
  const body = {
    error: error.message,
    exit_code: exitCode,
    code: error.code,
    ...(offers.length > 0 ? { offers } : {}),
    ...ids,
  };
  if (isJson(format)) {
    ctx.output.json(format === 'jsonl' ? { type: 'result', ...body } : body);
    if (path !== undefined) writeFileSync(path, `${JSON.stringify(body)}\n`);
    return exitCode;
  }
  ctx.output.err(failureText(error));
  for (const offer of offers) ctx.output.err(`  ${offerLine(offer)}\n`);
  if (ids.session_id !== undefined && format === 'text') ctx.output.err(`  session ${ids.session_id}\n`);
  return exitCode;
};
