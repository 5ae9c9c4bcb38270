import { accessSync, constants, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Submitted } from '../../client/control.ts';
import { requireDaemon } from '../../client/discover.ts';
import { type DaemonHttp, daemonHttp, type NewTurn } from '../../client/http.ts';
import type { TurnView } from '../../client/turn-view.ts';
import { sessionIdOf } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import { IdempotencyKeySchema, type Overrides } from '../../protocol/turn.ts';
import { type AnswerSchema, loadAnswerSchema } from '../answer-schema.ts';
import { askPerson, denyUnattended, PermissionDesk } from '../ask.ts';
import { callOf } from '../call.ts';
import { type Context, daemonOf } from '../context.ts';
import { asksNobody, withDefaultMode } from '../default-mode.ts';
import { EXIT, exitCodeOf, failureText, reportFailure, UsageError, whatIsWrong } from '../exit.ts';
import { offerLine, offersFor } from '../local-servers.ts';
import { type Device, parseMode, parseProvider } from '../options.ts';
import { canAsk, colour } from '../output.ts';
import { sessionModel, sessionSettings } from '../settings.ts';
import { readTask } from '../stdin.ts';
import { deviceOf, envFor, overridesOf, providerNote, requireOwn } from '../turn-flags.ts';
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
  detach?: boolean;
  /** A file, or the schema itself. */
  jsonSchema?: string;
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
    if (options.detach) return await submitOnly(ctx, job, ids);
    const view = await execute(ctx, job, ids, converse);
    return await finish(ctx, job, view, ids);
  } catch (cause) {
    return await fail(ctx, cause, format, options, ids);
  }
};

interface Job {
  task: string;
  /** What the answer has to be. */
  schema?: AnswerSchema;
  format: Format;
  mode: ReturnType<typeof parseMode>;
  overrides: Overrides;
  /** Nobody is asked, even at a terminal. */
  unattended: boolean;
  options: DoOptions;
  outputPath?: string;
  /** Of a new session, where a flag, the environment or the project names one. */
  model?: string;
  device: Device | undefined;
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
  const device = deviceOf(given.device);
  checkKey(given);
  if (given.detach) checkDetached(given);
  const schema = given.jsonSchema === undefined ? undefined : await loadAnswerSchema(given.jsonSchema, ctx.cwd);
  const task = await readTask(words);
  const settings = await sessionSettings(ctx, format !== 'quiet');
  const options = withDefaultMode(given, settings.config.defaultMode, 'do');
  const mode = parseMode(options.mode);
  // As ever, `-m "$MODEL"` of a script that has no MODEL names none.
  const model = options.model || sessionModel(settings);
  const outputPath = options.output === undefined ? undefined : writablePath(ctx.cwd, options.output);
  if (format !== 'quiet') for (const note of idleFlags(options, provider, mode)) ctx.output.err(`opta: ${note}\n`);
  return {
    task,
    format,
    mode,
    options,
    unattended: asksNobody(settings.config.defaultMode),
    overrides: { ...overridesOf(options, provider), ...(mode.ceo ? { autonomyMode: 'ceo' as const } : {}) },
    ...(schema === undefined ? {} : { schema }),
    ...(model === undefined ? {} : { model }),
    ...(outputPath === undefined ? {} : { outputPath }),
    device,
    env: envFor(ctx, device),
  };
};

/** What was asked for and has no effect, in words. */
const idleFlags = (options: DoOptions, provider: string | undefined, mode: ReturnType<typeof parseMode>): string[] => [
  ...providerNote(provider),
  ...(mode.known ? [] : [`unknown mode "${options.mode}", using do`]),
  ...(options.addDir?.length ? ['--add-dir has no effect: a session has one workspace, the current folder'] : []),
];

const checkKey = ({ idempotencyKey, session }: DoOptions): void => {
  if (idempotencyKey === undefined) return;
  if (session === undefined)
    throw new UsageError('--idempotency-key goes with --session: a key counts within one session');
  const bad = IdempotencyKeySchema.safeParse(idempotencyKey).error;
  if (bad) throw new UsageError(`Invalid --idempotency-key: ${bad.issues[0]?.message}`);
};

/** What is only known at the end of a turn cannot be asked of a command that does not wait for it. */
const checkDetached = (options: DoOptions): void => {
  const flags = { '--output': options.output, '--timeout': options.timeout, '--json-schema': options.jsonSchema };
  const [flag] = Object.entries(flags).find(([, value]) => value !== undefined) ?? [];
  if (flag !== undefined) throw new UsageError(`${flag} does not go with --detach, which leaves before the end`);
};

const writablePath = (cwd: string, path: string): string => {
  const full = resolve(cwd, path);
  try {
    accessSync(dirname(full), constants.W_OK);
  } catch {
    throw new UsageError(`Cannot write ${full}: its folder is missing or not writable`);
  }
  if (statSync(full, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`Cannot write ${full}: it is a folder`);
  return full;
};

type Use<T> = (ctx: Context, job: Job, ids: Ids, http: DaemonHttp, control: AbortController) => Promise<T>;

/** With the daemon, started if need be; a signal or the deadline ends it early and is then the cause, whatever else broke. */
const execute = async <T extends TurnView | Submitted>(ctx: Context, job: Job, ids: Ids, use: Use<T>): Promise<T> => {
  const control = new AbortController();
  const ended = endings(ctx, job, control);
  let http: DaemonHttp | undefined;
  try {
    const ensured = await daemonOf(ctx, {}, job.env, job.format === 'quiet');
    requireOwn(job.device, ensured);
    const { state } = ensured;
    http = daemonHttp(state, () => requireDaemon(ctx.paths.stateFile));
    return await use(ctx, job, ids, http, control);
  } catch (cause) {
    throw ended.reason() ?? cause;
  } finally {
    ended.dispose();
    http?.close();
  }
};

const newTurn = ({ task, schema, mode, overrides, options }: Job): NewTurn => ({
  clientId: 'legacy-http',
  writerId: 'legacy-http',
  content: schema === undefined ? task : `${task}\n\n${schema.request}`,
  mode: mode.mode,
  overrides,
  ...(options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey }),
});

const converse: Use<TurnView> = async (ctx, job, ids, http, control) => {
  const session = await openSession(ctx, job, http);
  ids.session_id = session.sessionId;
  // An answer that has to obey a schema is a result when it does.
  const printer = new TurnPrinter(ctx.output, job.format, job.schema === undefined);
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
    turn: newTurn(job),
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
  // A turn that finished first is done, whoever wanted it to end ([CX3]).
  if (view.end?.outcome === 'cancelled') throw new OptaError('cancelled', view.end.message);
  return view.model === '' ? { ...view, model: session.model } : view;
};

/** `--detach`: the turn is accepted, and that is all that is waited for. */
const submitOnly = async (ctx: Context, job: Job, ids: Ids): Promise<number> => {
  const { queued } = await execute(ctx, job, ids, async (_ctx, _job, _ids, http, { signal }) => {
    const { sessionId } = await openSession(ctx, job, http);
    ids.session_id = sessionId;
    const answer = await http.submitTurn(sessionId, newTurn(job), { signal });
    ids.turn_id = answer.turnId;
    return answer;
  });
  ids.status = 'accepted';
  if (isJson(job.format)) {
    const type = job.format === 'jsonl' ? { type: 'result' } : {};
    ctx.output.json({ ...type, ...ids, queued, exit_code: EXIT.ok });
  }
  if (job.format !== 'text') return EXIT.ok;
  ctx.output.out(`session ${ids.session_id}\nturn ${ids.turn_id}\n`);
  ctx.output.err(
    colour.dim(`what it does: opta why ${ids.session_id}; what it said: opta sessions show ${ids.session_id}\n`),
  );
  return EXIT.ok;
};

const TITLE_CHARS_MAX = 80;

const openSession = async (
  ctx: Context,
  job: Job,
  http: DaemonHttp,
): Promise<{ sessionId: string; seq?: number | undefined; model: string }> => {
  const { session } = job.options;
  const { model } = job;
  if (session !== undefined) return http.getSession(await sessionIdOf(callOf(http), session));
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
  const answer = job.schema === undefined ? {} : { data: job.schema.read(view.text) };
  const result = {
    result: view.text,
    tool_calls: view.toolCalls,
    model: view.model,
    exit_code: EXIT.ok,
    ...ids,
    ...answer,
  };
  const text = 'data' in answer ? `${JSON.stringify(answer.data, null, 2)}\n` : null;
  if (job.outputPath !== undefined) {
    writeFileSync(job.outputPath, isJson(job.format) ? `${JSON.stringify(result)}\n` : (text ?? view.text));
  }
  if (job.format === 'json') ctx.output.json(result);
  if (job.format === 'jsonl') ctx.output.json({ type: 'result', ...result });
  if (job.format === 'text' && text !== null) ctx.output.out(text);
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
  error: { message: string; code: string; facts?: object },
  exitCode: number,
  ids: Ids,
): Promise<number> => {
  const offers = await offersFor(ctx, error.code);
  const body = {
    error: `${error.message}${whatIsWrong(error.facts)}`,
    exit_code: exitCode,
    code: error.code,
    ...(offers.length > 0 ? { offers } : {}),
    ...ids,
    // What was said, for whoever wants it all the same.
    ...(error.code === 'schema-mismatch' ? error.facts : {}),
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
