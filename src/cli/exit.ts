import { type ErrorCode, errorRow, isErrorCode, type OptaError, toOptaError } from '../protocol/errors.ts';
import { colour, type Output, printable } from './output.ts';

/** One exit code per cause ([AU2]). Causes with an error code have theirs in the error table; these are the names. */
export const EXIT = {
  ok: 0,
  error: 1,
  misuse: 2,
  noConnection: 3,
  permission: 77,
  notFound: 127,
  interrupted: 130,
} as const;

/** Ends a command with a code after it has said all there is to say. */
export class Exit extends Error {
  override readonly name = 'Exit';
  readonly exitCode: number;
  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** A usage error of our own: what commander would have said, with its exit code 1, or 2 for a value that makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly exitCode: number;
  constructor(message: string, exitCode: 1 | 2 = 2) {
    super(message);
    this.exitCode = exitCode;
  }
}

export const exitCodeOf = (code: string): number => (isErrorCode(code) ? errorRow(code).exit : EXIT.error);

/** Sentences that say what to do next, by code. */
const TRY: { [code in ErrorCode]?: string } = {
  'no-model-loaded': 'load a model on the inference host, or name one: opta do -m <model> …',
  'lmx-connection-refused': 'check OPTA_HOST and OPTA_PORT, then restart the daemon: opta daemon restart',
  'loopback-only': 'OPTA_LOOPBACK_ONLY is set: point OPTA_HOST at 127.0.0.1',
  'daemon-unreachable': 'opta daemon status',
};

/**
 * Says why a command failed and returns its exit code. With `json` the error stands on stdout, as one line, and nowhere else.
 */
export const reportFailure = (output: Output, cause: unknown, json: boolean, more: object = {}): number => {
  if (cause instanceof Exit) return cause.exitCode;
  if (cause instanceof UsageError) {
    if (json) output.json({ error: cause.message, exit_code: cause.exitCode, ...more });
    else output.err(`error: ${cause.message}\n`);
    return cause.exitCode;
  }
  const error = toOptaError(cause);
  const exitCode = exitCodeOf(error.code);
  if (json) output.json(failureJson(error, exitCode, more));
  else output.err(failureText(error));
  if (error.code === 'internal' && process.env.OPTA_DEBUG && cause instanceof Error) output.err(`${cause.stack}\n`);
  return exitCode;
};

const failureJson = (error: OptaError, exitCode: number, more: object): object => ({
  error: `${error.message}${whatIsWrong(error.facts)}`,
  exit_code: exitCode,
  code: error.code,
  ...more,
});

/** The first member that the daemon has refused, and why: "Invalid request body" alone helps nobody. */
export const whatIsWrong = (facts: object = {}): string => {
  const { details } = facts as { details?: unknown };
  const [issue] = Array.isArray(details) ? (details as { path?: unknown; message?: unknown }[]) : [];
  const path = Array.isArray(issue?.path) ? issue.path.join('.') : '';
  return path === '' || typeof issue?.message !== 'string' ? '' : ` (${path}: ${issue.message})`;
};

export const failureText = (error: { message: string; code: string; facts?: object }): string => {
  const hint = isErrorCode(error.code) ? TRY[error.code] : undefined;
  const tip = hint === undefined || error.message.includes('opta ') ? '' : `\n  Try: ${hint}`;
  const why = printable(whatIsWrong(error.facts));
  return `${colour.red('✗')} ${printable(error.message)}${why}${tip}\n`;
};
