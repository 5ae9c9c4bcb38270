import { setMaxListeners } from 'node:events';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Done, LmxAdmin, LmxChange, LmxRead, Log } from '../actors/ports.ts';
import { OptaError, QuotedError, toOptaError } from '../protocol/errors.ts';
import { systemClock } from './clock.ts';
import { failureOf, fromServer } from './error-map.ts';
import { type Call, callOf } from './lmx-calls.ts';
import { Kept, LmxEndpoint, type LmxServer } from './lmx-endpoint.ts';
import { isLoopbackHost } from './loopback-guard.ts';
import { exchange, type Probed, placeOf } from './probe.ts';

export interface LmxAdminConfig extends LmxServer {
  adminKey?: string;
  log: Log;
  clock?: Clock;
}

const READS = new Set(['status', 'discovery', 'models', 'memory', 'available', 'downloads', 'progress']);
/** Statuses after which a read is tried again. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
/** Failures of this side: they are told in the table's own words. */
const OURS = new Set(['loopback-only', 'lmx-untrusted', 'shutting-down']);

/** The administration of one LMX, for all who ask through this daemon. Opens nothing by itself. */
export const createLmxAdmin = (config: LmxAdminConfig): LmxAdmin => new Admin(config);

class Admin implements LmxAdmin {
  readonly #config: LmxAdminConfig;
  readonly #clock: Clock;
  readonly #endpoint: LmxEndpoint;
  readonly #models: Kept<unknown>;
  readonly #closing = new AbortController();
  #open = 0;

  constructor(config: LmxAdminConfig) {
    this.#config = config;
    this.#clock = config.clock ?? systemClock;
    this.#endpoint = new LmxEndpoint(config, this.#clock);
    this.#models = new Kept(this.#clock, LIMITS.lmxModelsCacheMs, (done) => this.#send({ ask: 'models' }, done));
    setMaxListeners(0, this.#closing.signal);
  }

  run(asked: LmxRead | LmxChange, done: Done<unknown>): void {
    this.#clock.soon(() => (asked.ask === 'models' ? this.#models.get(done) : this.#send(asked, done)));
  }

  close(): void {
    this.#closing.abort();
  }

  #send(asked: LmxRead | LmxChange, done: Done<unknown>): void {
    if (this.#open >= LIMITS.lmxCallsMax)
      return done(new OptaError('too-many-requests', `More than ${LIMITS.lmxCallsMax} calls wait for LMX`), null);
    this.#open += 1;
    const isRead = READS.has(asked.ask);
    const finish = (error: OptaError | null, value: unknown): void => {
      this.#open -= 1;
      if (!isRead) this.#models.drop();
      if (error)
        this.#config.log.warn('lmx administration failed', {
          ask: asked.ask,
          code: error.code,
          message: error.message,
        });
      else if (!isRead) this.#config.log.info('lmx administration', { ask: asked.ask });
      done(error, error ? null : value);
    };
    const call = callOf(asked, this.#config);
    const startedAt = this.#clock.now();
    // A key for the administration is worth more than a prompt, so it takes the same proof ([IN2]).
    if (isLoopbackHost(this.#config.host)) this.#attempt({ call, isRead, startedAt, tries: 1 }, finish);
    else
      this.#endpoint.identify((error) => {
        if (error) finish(this.#told(error, true), null);
        else this.#attempt({ call, isRead, startedAt, tries: 1 }, finish);
      });
  }

  #attempt(job: Job, finish: Done<unknown>): void {
    const { call, isRead, startedAt, tries } = job;
    const { adminKey } = this.#config;
    const leftMs = isRead ? LIMITS.lmxReadMs - (this.#clock.now() - startedAt) : call.deadlineMs;
    const asked = {
      ...call,
      headers: adminKey && call.path.startsWith('/admin/') ? { 'x-admin-key': adminKey } : {},
      deadlineMs: Math.max(1, Math.min(call.deadlineMs, leftMs)),
      answerBytesMax: LIMITS.lmxAnswerBytesMax,
      signal: this.#closing.signal,
    };
    const answered = (error: OptaError | null, answer: Probed | null): void => {
      if (error) this.#endpoint.forget();
      const again = error ? this.#passes(error, isRead) : isRead && PASSING.has(answer?.status ?? 0);
      if (again && tries < LIMITS.lmxTriesMax && !this.#closing.signal.aborted)
        this.#clock.setTimeout(
          () => this.#attempt({ ...job, tries: tries + 1 }, finish),
          LIMITS.lmxRetryBaseMs * 2 ** (tries - 1),
        );
      else if (error) finish(this.#told(error, isRead), null);
      else this.#read(call, isRead, answer as Probed, finish);
    };
    try {
      exchange(this.#config, asked, this.#clock, answered);
    } catch (cause) {
      finish(toOptaError(cause), null);
    }
  }

  /** A refused connection has carried nothing, so even a change may be sent again. What was slow once is not asked again. */
  #passes(error: OptaError, isRead: boolean): boolean {
    return error.facts.socketCode === 'ECONNREFUSED' || (isRead && error.code === 'lmx-ws-closed');
  }

  #read(call: Call, isRead: boolean, answer: Probed, finish: Done<unknown>): void {
    if (answer.status < 200 || answer.status > 299) return finish(this.#refusal(answer), null);
    let value: unknown;
    try {
      value = call.read(answer.body);
    } catch (cause) {
      return finish(this.#told(toOptaError(cause), isRead), null);
    }
    finish(null, value);
  }

  /** LMX refuses a request in its own words; what it could not do is a failure of the way to it, as clients know it. */
  #refusal({ status, body, retryAfterMs }: Probed): OptaError {
    const failure = { ...(retryAfterMs === undefined ? {} : { retryAfterMs }), ...failureOf(body, status), status };
    const error = fromServer(failure);
    const text = (failure.message ?? '').slice(0, 500);
    if (status < 400 || status > 499) return this.#unreachable(error, `HTTP ${status} ${text}`.trim());
    const said = failure.code ?? '';
    const code = /^[\w.-]{1,100}$/.test(said) ? said : (CODE_OF_STATUS[status] ?? `http_${status}`);
    // 401 on this plane speaks of the daemon's own token; it must not send a client off to look for another.
    const quoted = { status: status === 401 ? 403 : status, code };
    return new QuotedError(error.code, `${this.#config.host}: ${text || `HTTP ${status}`}`, quoted, error.facts);
  }

  #told(error: OptaError, isRead: boolean): OptaError {
    if (this.#closing.signal.aborted) return new OptaError('shutting-down', 'The daemon is shutting down');
    if (OURS.has(error.code)) return error;
    const { socketCode, deadlineMs } = error.facts;
    const how =
      error.code === 'lmx-timeout' && deadlineMs !== undefined
        ? `timed out after ${deadlineMs} ms`
        : socketCode === undefined
          ? error.message
          : `fetch failed (${socketCode} · ${placeOf(this.#config)})`;
    const unsure = !isRead && error.code !== 'lmx-connection-refused';
    return this.#unreachable(unsure ? new OptaError('outcome-unknown', error.message, error.facts) : error, how);
  }

  #unreachable(error: OptaError, how: string): OptaError {
    const text = `LMX request failed across 1 host: ${this.#config.host} -> ${how}`;
    return new QuotedError(error.code, text, { status: 502, code: 'connection_error' }, error.facts);
  }
}

interface Job {
  call: Call;
  isRead: boolean;
  startedAt: number;
  tries: number;
}

/** For servers that give no code. */
const CODE_OF_STATUS: { [status: number]: string } = {
  401: 'unauthorized',
  403: 'unauthorized',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  429: 'rate_limited',
};
