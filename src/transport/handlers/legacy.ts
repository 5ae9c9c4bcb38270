import { createHash } from 'node:crypto';
import { LIMITS } from '../../actors/limits.ts';
import type { CancelResult, Submitted } from '../../actors/runtime.ts';
import { isErrorCode, OptaError, QuotedError } from '../../protocol/errors.ts';
import type { EventPayload } from '../../protocol/events.ts';
import { SessionIdSchema } from '../../protocol/ids.ts';
import type { Chat, LEGACY_OPERATIONS } from '../../protocol/operations/legacy.ts';
import type { OperationOutput } from '../../protocol/operations.ts';
import type { SessionSnapshot } from '../../protocol/session.ts';
import { SubmitTurnSchema } from '../../protocol/turn.ts';
import type { Caller, HandlersOf } from '../dispatch.ts';
import { type HandlerDeps, within } from './deps.ts';
import { type TurnEnd, TurnWait } from './turn-wait.ts';

const WRITER = 'legacy-http';
const TITLE_CHARS_MAX = 80;

export const legacyHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof LEGACY_OPERATIONS> => ({
  'legacy.chat': async ({ body }, caller) => {
    if (deps.waits.size >= LIMITS.chatWaitsMax) {
      throw new OptaError('too-many-requests', `${deps.waits.size} requests wait for a turn already`);
    }
    const call = new ChatCall(deps, body, caller);
    deps.waits.add(call);
    try {
      return { body: await call.run() };
    } finally {
      deps.waits.delete(call);
    }
  },
});

/**
 * One `POST /v1/chat`: a turn as one request, for scripts from before v3.
 *
 * The turn is cancelled when the caller goes away, since nobody else knows of it. With an idempotency key it goes on: the key is
 * the caller's word that it will ask again.
 */
class ChatCall {
  readonly #deps: HandlerDeps;
  readonly #body: Chat;
  /** In every failure, so that the caller can go and look. */
  readonly #ids: { session_id?: string; turn_id?: string } = {};
  #left = false;
  #onLeave: () => void = () => undefined;

  constructor(deps: HandlerDeps, body: Chat, caller: Caller) {
    this.#deps = deps;
    this.#body = body;
    caller.whenGone(() => {
      this.#left = true;
      this.#onLeave();
    });
  }

  async run(): Promise<OperationOutput<'legacy.chat'>> {
    try {
      const session = await this.#open();
      this.#ids.session_id = session.sessionId;
      this.#checkWorkspace(session);
      if (this.#left) throw gone();
      const { turnId, seq } = await this.#submit(session.sessionId);
      this.#ids.turn_id = turnId;
      const { end, text, seq: endSeq } = await this.#wait(session.sessionId, turnId, seq);
      // A reader is sent what is committed; an answer waits for the disk.
      await within(this.#deps, (done) => this.#deps.runtime.flushed(session.sessionId, endSeq, done));
      if (end.event === 'turn.error') throw turnFailure(end.payload);
      const model = session.model || end.payload.model;
      return {
        session_id: session.sessionId,
        response: text,
        stats: end.payload.stats,
        ...(model === undefined ? {} : { model }),
        turn_id: turnId,
      };
    } catch (fault) {
      throw this.#named(fault);
    }
  }

  #named(fault: unknown): unknown {
    if (!(fault instanceof OptaError)) return fault;
    const facts = { ...fault.facts, ...this.#ids };
    return fault instanceof QuotedError
      ? new QuotedError(fault.code, fault.message, fault.quoted, facts)
      : new OptaError(fault.code, fault.message, facts);
  }

  #open(): Promise<SessionSnapshot> {
    const { message, default_workspace: usual } = this.#body;
    const workspace = this.#body.workspace ?? (usual === undefined ? undefined : decoded(usual));
    const sessionId = this.#sessionId();
    const title = message.replace(/\s+/g, ' ').trim().slice(0, TITLE_CHARS_MAX);
    const input = {
      ...(sessionId === undefined ? {} : { sessionId }),
      title,
      metadata: { source: 'v1/chat', ...(workspace === undefined ? {} : { workspace }) },
    };
    return within<SessionSnapshot>(this.#deps, (done) => this.#deps.runtime.create(input, done));
  }

  /** [AU3] A key counts within one session, so the key alone has to lead back to it: a retry must not begin another one. */
  #sessionId() {
    const { session_id, idempotency_key } = this.#body;
    const id =
      session_id ||
      (idempotency_key && `key_${createHash('sha256').update(idempotency_key).digest('base64url').slice(0, 24)}`);
    if (!id) return undefined;
    const parsed = SessionIdSchema.safeParse(id);
    if (parsed.success) return parsed.data;
    throw new OptaError('invalid-request', 'Invalid session id', { details: parsed.error.issues });
  }

  #checkWorkspace(session: SessionSnapshot): void {
    const { workspace } = this.#body;
    if (workspace === undefined || bare(workspace) === bare(session.workspace ?? '')) return;
    const is = session.workspace === undefined ? 'has no workspace' : `works in ${session.workspace}`;
    throw new OptaError('state-conflict', `The session ${is}, and a session keeps what it began with`);
  }

  #submit(sessionId: string): Promise<Submitted> {
    const { message, overrides, idempotency_key } = this.#body;
    const input = SubmitTurnSchema.parse({
      clientId: WRITER,
      writerId: WRITER,
      content: message,
      mode: 'do',
      // Requests to one session are answered one after another, whatever the session asks of other writers.
      onBusy: 'enqueue',
      ...(overrides === undefined ? {} : { overrides }),
      ...(idempotency_key === undefined ? {} : { idempotencyKey: idempotency_key }),
    });
    return within<Submitted>(this.#deps, (done) => this.#deps.runtime.submit(sessionId, input, done));
  }

  /** Until the turn has ended, the caller has left, or its time is over. */
  #wait(sessionId: string, turnId: string, seq: number): Promise<TurnEnd> {
    const { runtime, timers } = this.#deps;
    const waitMs = Math.min(this.#body.timeout_ms ?? LIMITS.chatWaitMs, LIMITS.chatWaitMs);
    const cancel = (): void =>
      runtime.cancel(sessionId, { turnId: turnId as never }, (_: unknown, __: CancelResult) => undefined);
    let dispose = (): void => undefined;
    const ended = new Promise<TurnEnd>((resolve, reject) => {
      let refused: EventPayload<'permission.resolved'> | null = null;
      const leave = (): void => {
        if (this.#body.idempotency_key === undefined) cancel();
        reject(gone());
      };
      if (this.#left) return leave();
      this.#onLeave = leave;
      const wait = new TurnWait(turnId, {
        // The end of the cancel follows, and with it the answer: until then something may still be alive.
        unattended: (call) => {
          refused ??= call;
          cancel();
        },
        ended: (end) => (refused ? reject(unattended(refused, end)) : resolve(end)),
        lost: (error) => reject(error.code === 'shutting-down' ? stopping(error) : error),
      });
      try {
        // The log is read from the turn's own beginning: what it said before this line is not missed, and a repeated key gets it all.
        const attachment = runtime.attach(sessionId, seq - 1, wait, {
          role: 'observer',
          via: 'http',
          clientId: WRITER,
        });
        const timer = timers.setTimeout(() => reject(tooLate(waitMs)), waitMs);
        dispose = () => {
          timers.clearTimeout(timer);
          attachment.detach();
        };
      } catch (fault) {
        // Nobody would be told how it ends.
        cancel();
        reject(fault);
      }
    });
    return ended.finally(() => {
      this.#onLeave = () => undefined;
      dispose();
    });
  }
}

const bare = (path: string): string => path.replace(/(?<=.)\/+$/, '');

/** Said to nobody. */
const gone = (): OptaError => new OptaError('cancelled', 'The caller went away');

const tooLate = (waitMs: number): OptaError =>
  new OptaError('timeout', `The turn has not ended within ${waitMs / 1_000} s. It goes on: follow it in its session`);

/** Not to be sent again as it is: the turn waits for the next daemon. */
const stopping = ({ code }: OptaError): OptaError =>
  new OptaError(code, 'The daemon is stopping. The turn waits in its session and runs when a daemon starts', {
    retryable: false,
  });

/** A turn that was quicker than its cancel has said something all the same. */
const unattended = ({ toolName }: EventPayload<'permission.resolved'>, { end, text }: TurnEnd): OptaError =>
  new OptaError(
    'permission-unattended',
    `${toolName} needs a permission, and nobody is attached to the session who may give it`,
    { tool: toolName, outcome: end.payload.outcome, ...(end.event === 'turn.done' ? { response: text } : {}) },
  );

/** 502, whatever the code's own status: the daemon did its part. Unless it was the daemon that ended the turn. */
const turnFailure = ({ message, code, outcome, stats }: EventPayload<'turn.error'>): OptaError => {
  const status = outcome === 'interrupted' ? 503 : 502;
  const facts = { outcome, ...(stats === undefined ? {} : { stats }) };
  return new QuotedError(isErrorCode(code) ? code : 'internal', message, { status, code }, facts);
};

/** Throws `invalid-request`. */
const decoded = (path: string): string => {
  try {
    return decodeURI(path);
  } catch {
    throw new OptaError('invalid-request', 'The opta-default-workspace header is not percent-encoded');
  }
};
