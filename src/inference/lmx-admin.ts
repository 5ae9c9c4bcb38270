import { setMaxListeners } from 'node:events';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Done, LmxAdmin, LmxCall, Log } from '../actors/ports.ts';
import { type ErrorCode, OptaError, QuotedError, toOptaError } from '../protocol/errors.ts';
import { LMX_OPERATIONS, type LmxOperationId } from '../protocol/operations/lmx.ts';
import { systemClock } from './clock.ts';
import { failureOf, fromServer } from './error-map.ts';
import { readAnswer } from './lmx-answers.ts';
import { Kept, LmxEndpoint, type LmxServer } from './lmx-endpoint.ts';
import { isLoopbackHost } from './loopback-guard.ts';
import { exchange, type Probed, placeOf, type Question } from './probe.ts';

export interface LmxAdminConfig extends LmxServer {
  adminKey?: string;
  log: Log;
  clock?: Clock;
}

/** Statuses after which a read is tried again. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
/** Failures of this side: they are told in the table's own words. */
const OURS = new Set<ErrorCode>(['loopback-only', 'lmx-untrusted']);
/** What LMX knows by heart. Anything else looks at disks and networks. */
const QUICK = new Set<LmxOperationId>([
  'lmx.status',
  'lmx.discovery',
  'lmx.models',
  'lmx.memory',
  'lmx.served',
  'lmx.live',
  'lmx.ready',
  'lmx.health',
]);
/** Changes nothing and may take its time. */
const COMPUTES = new Set<LmxOperationId>(['lmx.embeddings', 'lmx.rerank']);
/** What LMX has outside of `/admin`. */
const ELSEWHERE: { [id in LmxOperationId]?: string } = {
  'lmx.discovery': '/.well-known/opta-lmx',
  'lmx.live': '/healthz',
  'lmx.ready': '/readyz',
  'lmx.served': '/v1/models',
  'lmx.embeddings': '/v1/embeddings',
  'lmx.rerank': '/v1/rerank',
  'lmx.agents': '/v1/agents/runs',
  'lmx.agent': '/v1/agents/runs/:id',
  'lmx.skills': '/v1/skills',
  'lmx.skill': '/v1/skills/:id',
  'lmx.tools': '/v1/skills/mcp/tools',
  'lmx.collections': '/v1/rag/collections',
};
/** For servers that give no code. */
const CODE_OF_STATUS: { [status: number]: string } = {
  401: 'unauthorized',
  403: 'unauthorized',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  429: 'rate_limited',
};

interface Job {
  call: LmxCall;
  isRead: boolean;
  question: Question;
  /** When it is given up, tries and all. */
  until: number;
  tries: number;
  finish: Done<unknown>;
}

/** The administration of one LMX, for all who ask through this daemon. Opens nothing by itself. */
export const createLmxAdmin = (config: LmxAdminConfig): LmxAdmin => new Admin(config);

class Admin implements LmxAdmin {
  readonly #config: LmxAdminConfig;
  readonly #clock: Clock;
  readonly #endpoint: LmxEndpoint;
  readonly #models: Kept<unknown>;
  readonly #closing = new AbortController();
  open = 0;
  away: LmxAdmin['away'] = null;

  constructor(config: LmxAdminConfig) {
    this.#config = config;
    this.#clock = config.clock ?? systemClock;
    this.#endpoint = new LmxEndpoint(config, this.#clock);
    this.#models = new Kept(this.#clock, LIMITS.lmxModelsCacheMs, (done) => this.#send({ id: 'lmx.models' }, done));
    setMaxListeners(0, this.#closing.signal);
  }

  run(call: LmxCall, done: Done<unknown>): void {
    this.#clock.soon(() => (call.id === 'lmx.models' ? this.#models.get(done) : this.#send(call, done)));
  }

  close(): void {
    this.#closing.abort();
  }

  #send(call: LmxCall, done: Done<unknown>): void {
    if (this.open >= LIMITS.lmxCallsMax)
      return done(new OptaError('too-many-requests', `More than ${LIMITS.lmxCallsMax} calls wait for LMX`), null);
    this.open += 1;
    const isLong = COMPUTES.has(call.id);
    const isRead = isLong || LMX_OPERATIONS[call.id].safety === 'read';
    const finish = (error: OptaError | null, value: unknown): void => {
      this.open -= 1;
      if (!isRead) this.#models.drop();
      const facts = { call: call.id, ...(error ? { code: error.code, message: error.message } : {}) };
      if (error || !isRead) this.#config.log[error ? 'warn' : 'info']('lmx administration', facts);
      done(error, value);
    };
    const until = this.#clock.now() + (isRead && !isLong ? LIMITS.lmxReadMs : LIMITS.lmxChangeMs);
    const job = { call, isRead, question: this.#questionOf(call), until, tries: 1, finish };
    // A key for the administration is worth more than a prompt, so it takes the same proof ([IN2]).
    if (isLoopbackHost(this.#config.host)) this.#attempt(job);
    else this.#endpoint.identify((error) => (error ? finish(this.#told(error, true), null) : this.#attempt(job)));
  }

  /** Below `/v3/lmx` the paths are LMX's own below `/admin`, but for a few; it writes its fields in the other spelling. */
  #questionOf({ id, item = '', fields = {} }: LmxCall): Question {
    const { method, paths } = LMX_OPERATIONS[id];
    const own = ELSEWHERE[id] ?? paths[0].replace('/v3/lmx/', '/admin/');
    const path = own.replace(':id', () => encodeURIComponent(item));
    return {
      method,
      path: fields.includeInactive === true ? `${path}?include_inactive=true` : path,
      headers: this.#keyFor(path),
      body: method === 'POST' ? snakeCase(fields) : undefined,
      deadlineMs: QUICK.has(id) ? LIMITS.lmxQuickMs : LIMITS.lmxChangeMs,
      answerBytesMax: LIMITS.lmxAnswerBytesMax,
      signal: this.#closing.signal,
    };
  }

  /** Each half of LMX has a key of its own, and what is open to everybody is sent none. */
  #keyFor(path: string): { [name: string]: string } {
    const { adminKey, apiKey } = this.#config;
    if (path.startsWith('/admin/')) return adminKey ? { 'x-admin-key': adminKey } : {};
    return path.startsWith('/v1/') && apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  }

  #attempt(job: Job): void {
    const { isRead, question, tries, finish } = job;
    const deadlineMs = Math.max(1, Math.min(question.deadlineMs, job.until - this.#clock.now()));
    try {
      exchange(this.#config, { ...question, deadlineMs }, this.#clock, (error, answer) => {
        if (error) this.#endpoint.forget();
        if (answer) this.away = null;
        else if (!this.#closing.signal.aborted)
          this.away ??= { since: new Date(this.#clock.now()).toISOString(), reason: error?.message ?? '' };
        // A refused connection has carried nothing, so even a change may be sent again. What was slow once is not asked again.
        const passes = error
          ? error.facts.socketCode === 'ECONNREFUSED' || (isRead && error.code === 'lmx-ws-closed')
          : isRead && PASSING.has(answer?.status ?? 0) && !isSaid(job, answer);
        const waitMs = LIMITS.lmxRetryBaseMs * 2 ** (tries - 1);
        if (passes && tries < LIMITS.lmxTriesMax && !this.#closing.signal.aborted)
          this.#clock.setTimeout(() => this.#attempt({ ...job, tries: tries + 1 }), waitMs);
        else if (error) finish(this.#told(error, isRead), null);
        else this.#read(job, answer as Probed);
      });
    } catch (cause) {
      finish(toOptaError(cause), null);
    }
  }

  #read(job: Job, answer: Probed): void {
    const { call, isRead, finish } = job;
    if (isSaid(job, answer)) return finish(null, { status: answer.status, body: answer.body ?? null });
    if (answer.status < 200 || answer.status > 299) return this.#refused(job, answer);
    let value: unknown;
    try {
      value = readAnswer(answer.body, call, this.#config);
    } catch (cause) {
      return finish(this.#told(toOptaError(cause), isRead), null);
    }
    finish(null, value);
  }

  /** A server that knows no such path may be none of ours: then that is the reason, and not the path. */
  #refused({ question, finish }: Job, answer: Probed): void {
    const refusal = this.#refusal(answer);
    if (answer.status !== 404 || !question.path.startsWith('/admin/') || refusal.code === 'no-model-loaded')
      return finish(refusal, null);
    this.#endpoint.identify((_, found) => {
      if (found?.kind !== 'plain') return finish(refusal, null);
      const text = `${placeOf(this.#config)} is an OpenAI-compatible server without an administration: its models are loaded and unloaded by its own means`;
      finish(new QuotedError('lmx-no-admin', text, { status: 404, code: 'not_found' }, refusal.facts), null);
    });
  }

  /** LMX refuses a request in its own words; what it could not do is a failure of the way to it, as clients know it. */
  #refusal({ status, body, retryAfterMs }: Probed): OptaError {
    const failure = { ...(retryAfterMs === undefined ? {} : { retryAfterMs }), ...failureOf(body, status), status };
    const { code, facts } = fromServer(failure);
    const text = (failure.message ?? '').slice(0, 500);
    if (status < 400 || status > 499) return this.#unreachable(code, `HTTP ${status} ${text}`.trim(), facts);
    const said = failure.code ?? '';
    const named = /^[\w.-]{1,100}$/.test(said) ? said : (CODE_OF_STATUS[status] ?? `http_${status}`);
    // 401 on this plane speaks of the daemon's own token; it must not send a client off to look for another.
    const quoted = { status: status === 401 ? 403 : status, code: named };
    return new QuotedError(code, `${this.#config.host}: ${text || `HTTP ${status}`}`, quoted, facts);
  }

  #told({ code, message, facts }: OptaError, isRead: boolean): OptaError {
    // What was aborted on its way may have arrived: a change is not to be sent again unseen.
    const isUnsent = isRead || code === 'lmx-connection-refused';
    if (this.#closing.signal.aborted && isUnsent) return new OptaError('shutting-down', 'The daemon is shutting down');
    if (OURS.has(code)) return new OptaError(code, message, facts);
    const { socketCode, deadlineMs } = facts;
    const broke = socketCode === undefined ? message : `fetch failed (${socketCode} · ${placeOf(this.#config)})`;
    const how = deadlineMs === undefined ? broke : `timed out after ${deadlineMs} ms`;
    return this.#unreachable(isUnsent ? code : 'outcome-unknown', how, facts);
  }

  #unreachable(code: ErrorCode, how: string, facts: OptaError['facts']): OptaError {
    const text = `LMX request failed across 1 host: ${this.#config.host} -> ${how}`;
    return new QuotedError(code, text, { status: 502, code: 'connection_error' }, facts);
  }
}

/** That it is not ready is an answer to this question. */
const isSaid = ({ call }: Job, answer: Probed | null): boolean =>
  call.id === 'lmx.ready' && (answer?.status === 200 || answer?.status === 503);

const snakeCase = (fields: object): object =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), value]),
  );
