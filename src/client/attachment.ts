import { decodeEnvelope } from '../protocol/envelope.ts';
import { errorRow, isErrorCode, OptaError } from '../protocol/errors.ts';
import type { SnapshotFrame } from '../protocol/frames.ts';
import type { AttachOptions, AttachState, Frame, Received } from './attach-options.ts';
import { byCloseCode, byStatus, delayOf, EXPLAINED, FATAL } from './faults.ts';
import type { DaemonAddress, OpenSocket, Platform, PlatformSocket } from './platform.ts';

/** Times the same cursor may meet a gap before the log itself is called broken. */
const GAPS_MAX = 3;
/** A connection that lasted this long counts as one, even if nothing was said on it. */
const SETTLED_MS = 2_000;
/** The clock is looked at this often; a jump by more than the second means that nothing ran in between. */
const TICK_MS = 2_000;
const JUMP_MS = 3_000;
/** After a sleep a connection has this long to show that it is alive. */
const WAKE_MS = 2_000;
/** A browser sets no bound of its own to the way of a socket to its daemon. */
const CONNECT_MS = 10_000;
/** A daemon that has not sent its snapshot by then does not know the word. */
const SNAPSHOT_MS = 3_000;

type Timer = 'retry' | 'tick' | 'wake' | 'snapshot';

/**
 * An attachment that outlives its connections: it holds a cursor, and whatever happens to sockets and daemons it hands over
 * each event of the session once, in order.
 *
 * Invariants: 1. `onEnvelope` sees exactly cursor+1 each time ([EV2]). 2. What was seen before is dropped, what is ahead of
 * the cursor is never shown: the connection is given up and the log is read again from the cursor. 3. At most one socket is
 * open, and events of an old one are ignored. 4. `ended` settles once, with the reason, or null after `close()`. 5. Only
 * `onRewound` and `onSnapshot` move the cursor by anything but one, and each says so before the next event.
 */
export class Attachment {
  readonly ended: Promise<OptaError | null>;
  #options: AttachOptions;
  #openSocket: OpenSocket;
  #dispose: () => void;
  #cursor: number;
  #last: Received | null = null;
  #state: AttachState = 'connecting';
  #socket: PlatformSocket | null = null;
  #timers = new Map<Timer, ReturnType<typeof setTimeout>>();
  #settle: (error: OptaError | null) => void = () => undefined;
  #attempts = 0;
  #gaps = 0;
  #paused = false;
  #heardAt = 0;
  #askedAt = 0;
  #openedAt = 0;
  #tickedAt = 0;
  /** This connection brought something: losing it is a new loss, not one more failed attempt. */
  #fruitful = false;
  #disconnectedAt: number;
  #address: DaemonAddress | null = null;
  /** Why the log may not have our cursor any more: another daemon answers, or it spoke of a head below. */
  #doubt: 'none' | 'other-daemon' | 'head-below' = 'none';
  #awaitsSnapshot: boolean;
  #refusals = 0;
  /** Why the platform could not open or keep the socket. */
  #lastError: OptaError | null = null;
  /** The error frame that came last, if nothing came after it: the close that follows may be its own. */
  #told: OptaError | null = null;

  constructor(options: AttachOptions, { openSocket, onWake }: Pick<Platform, 'openSocket' | 'onWake'>) {
    this.#options = options;
    this.#openSocket = openSocket;
    this.#cursor = options.afterSeq;
    this.#awaitsSnapshot = options.snapshot !== undefined;
    this.#disconnectedAt = this.#now();
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#dispose = onWake(() => this.wake());
    void this.#connect();
  }

  /** `seq` of the last event handed over. */
  get cursor(): number {
    return this.#cursor;
  }

  get state(): AttachState {
    return this.#state;
  }

  /** False when there is no open connection; then nothing was sent. */
  send(frame: object): boolean {
    if (this.#state !== 'open' || !this.#socket) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  close(): void {
    this.#end(null);
  }

  /** Back-pressure: nothing is read until `resume()`. The daemon feeds from the log, or closes us, and we go on by cursor. */
  pause(): void {
    this.#paused = true;
    if (this.#socket?.pause) this.#socket.pause();
    else if (this.#socket) {
      this.#release();
      this.#become('waiting');
    }
  }

  resume(): void {
    this.#paused = false;
    this.#heardAt = this.#now();
    if (this.#socket) this.#socket.resume?.();
    else this.wake();
  }

  /** The machine, the page or the network may have been away: what waits tries now, what is open is asked for a sign of life. */
  wake(): void {
    if (this.#paused) return;
    if (this.#state === 'waiting') {
      this.#attempts = 0;
      this.#stop('retry');
      void this.#connect();
    } else if (this.#state === 'open') {
      const askedAt = this.#ping();
      this.#after('wake', WAKE_MS, () => {
        if (this.#heardAt < askedAt) this.#drop(new OptaError('timeout', 'the connection did not survive a sleep'));
      });
    }
  }

  async #connect(): Promise<void> {
    this.#become('connecting');
    try {
      const address = await this.#options.address();
      if (address.token !== this.#address?.token || address.port !== this.#address.port) {
        this.#refusals = 0;
        if (this.#address && this.#doubt === 'none') this.#doubt = 'other-daemon';
      }
      this.#address = address;
      if (this.#doubt !== 'none' && this.#cursor > 0 && this.#state === 'connecting') await this.#verify();
      this.#doubt = 'none';
      const from = this.#awaitsSnapshot ? await this.#options.snapshot?.head() : this.#cursor;
      if (this.#state === 'connecting') this.#open(address, from ?? 0);
    } catch (cause) {
      this.#failed(cause instanceof OptaError ? cause : new OptaError('daemon-unreachable', String(cause)));
    }
  }

  /** Only another daemon can have lost what was committed: its machine lost power before the log was flushed ([EV1]). */
  async #verify(): Promise<void> {
    const { holds, onRewound, onNotice } = this.#options;
    const kept = holds ? await holds({ seq: this.#cursor, seen: this.#last }) : this.#doubt === 'other-daemon';
    if (kept || this.#state === 'ended') return;
    const error = new OptaError('log-rewound', `The log no longer has event ${this.#cursor} as it was seen`);
    if (!onRewound) {
      this.#end(error);
      return;
    }
    this.#cursor = 0;
    this.#last = null;
    onRewound();
    onNotice?.(error);
  }

  #open(address: DaemonAddress, afterSeq: number): void {
    const query = new URLSearchParams({ sessionId: this.#options.sessionId, afterSeq: String(afterSeq) });
    const features = [...(this.#options.features ?? []), ...(this.#awaitsSnapshot ? ['snapshot'] : [])];
    if (features.length > 0) query.set('features', features.join(','));
    // [AC2] In the URL too: until a hello arrives, a daemon takes a client for what its URL says, a controller by default.
    for (const name of ['role', 'clientId', 'writerId'] as const) {
      const value = this.#options.hello?.[name];
      if (value) query.set(name, value);
    }
    this.#lastError = null;
    this.#told = null;
    this.#fruitful = false;
    const mine = (): boolean => this.#socket === socket;
    const socket: PlatformSocket = this.#openSocket(address, `/v3/ws?${query}`, {
      opened: () => mine() && this.#opened(socket),
      received: (text) => mine() && this.#received(text),
      refused: (status) => mine() && this.#refused(status),
      failed: (message) => {
        if (mine()) this.#lastError ??= new OptaError('daemon-unreachable', message);
      },
      closed: (code) => mine() && this.#closed(code),
    });
    this.#socket = socket;
    this.#after('tick', CONNECT_MS, () => this.#drop(new OptaError('timeout', 'the socket did not open in time')));
  }

  #opened(socket: PlatformSocket): void {
    const now = this.#now();
    this.#heardAt = now;
    this.#askedAt = now;
    this.#openedAt = now;
    this.#tickedAt = now;
    // Before anybody is told that the socket is open: a command that waited for that must not overtake it.
    if (this.#options.hello) socket.send(JSON.stringify({ type: 'hello', ...this.#options.hello }));
    this.#become('open');
    if (this.#paused) this.pause();
    if (this.#socket !== socket) return;
    if (this.#awaitsSnapshot) this.#after('snapshot', SNAPSHOT_MS, () => this.#withoutSnapshot());
    const everyMs = this.#options.pingEveryMs ?? 15_000;
    const tickMs = Math.min(TICK_MS, everyMs);
    this.#stop('tick');
    this.#timers.set(
      'tick',
      setInterval(() => this.#tick(everyMs, tickMs), tickMs),
    );
  }

  #tick(everyMs: number, tickMs: number): void {
    const now = this.#now();
    const jumpedMs = now - this.#tickedAt - tickMs;
    this.#tickedAt = now;
    if (this.#paused) return;
    if (jumpedMs > JUMP_MS) {
      // What this machine slept through is not the daemon's silence.
      this.#heardAt += jumpedMs;
      this.wake();
    } else if (now - this.#heardAt >= 2 * everyMs) this.#drop(new OptaError('timeout', 'the daemon fell silent'));
    else if (now - this.#askedAt >= everyMs) this.#ping();
  }

  #ping(): number {
    this.#askedAt = this.#now();
    this.#socket?.send('{"type":"ping"}');
    return this.#askedAt;
  }

  #withoutSnapshot(): void {
    this.#awaitsSnapshot = false;
    this.#options.onNotice?.(new OptaError('not-found', 'This daemon sends no snapshot; the history is read instead'));
    this.#drop(new OptaError('timeout', 'no snapshot came'));
  }

  #received(text: string): void {
    this.#heardAt = this.#now();
    this.#told = null;
    let frame: Frame;
    try {
      frame = JSON.parse(text);
    } catch {
      this.#drop(new OptaError('internal', 'a frame was not JSON'));
      return;
    }
    this.#fruitful ||= typeof frame.error !== 'string';
    const { seq } = frame;
    if (frame.type === 'heartbeat' || frame.event === 'heartbeat') {
      if (typeof seq === 'number' && !this.#awaitsSnapshot) this.#heartbeat(seq);
    } else if (frame.type === 'snapshot') this.#snapshot(frame as unknown as SnapshotFrame);
    else if (typeof frame.event === 'string' && typeof seq === 'number') this.#event(seq, text);
    else if (typeof frame.error === 'string' && frame.requestId === undefined)
      this.#errorFrame(frame.error, frame.code);
    else this.#options.onFrame?.(frame);
  }

  #heartbeat(seq: number): void {
    // The socket's cursor is ahead of ours: a frame was lost on the way, and only reading again brings it back.
    if (seq > this.#cursor) this.#gap(seq);
    else if (seq < this.#cursor) this.#behind(seq);
  }

  /** The log may have lost its end: before anything else is believed, it is asked for what was seen last. */
  #behind(seq: number): void {
    this.#doubt = 'head-below';
    this.#gap(seq);
  }

  #snapshot({ seq, state }: SnapshotFrame): void {
    if (!this.#awaitsSnapshot) return;
    this.#awaitsSnapshot = false;
    this.#stop('snapshot');
    this.#cursor = seq;
    this.#guarded(() => this.#options.snapshot?.take(state));
  }

  #event(seq: number, text: string): void {
    if (seq <= this.#cursor || this.#awaitsSnapshot) return;
    if (seq > this.#cursor + 1) {
      this.#gap(seq);
      return;
    }
    this.#gaps = 0;
    this.#refusals = 0;
    this.#guarded(() => {
      const envelope = decodeEnvelope(text);
      this.#cursor = seq;
      this.#last = envelope;
      this.#options.onEnvelope(envelope, text);
    });
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (cause) {
      this.#end(
        cause instanceof OptaError ? cause : new OptaError('internal', `Event ${this.#cursor}: ${String(cause)}`),
      );
    }
  }

  #gap(seq: number): void {
    this.#gaps += 1;
    const error = new OptaError('internal', `Event ${this.#cursor + 1} is missing: ${seq} came instead`);
    if (this.#gaps > GAPS_MAX) this.#end(error);
    else this.#drop(error);
  }

  #errorFrame(message: string, code: unknown): void {
    const error = new OptaError(typeof code === 'string' && isErrorCode(code) ? code : 'internal', message);
    this.#told = error;
    this.#options.onNotice?.(error);
  }

  #refused(status: number): void {
    this.#lastError = new OptaError(byStatus(status), `the daemon refused the socket (${status})`);
  }

  #closed(closeCode: number): void {
    const told = EXPLAINED.has(closeCode) ? this.#told : null;
    const error = told ?? this.#lastError ?? byCloseCode(closeCode);
    this.#failed(closeCode === 4001 ? new OptaError('unauthorized', error.message) : error);
  }

  #failed(error: OptaError): void {
    const refused = error.code === 'unauthorized';
    if (refused) this.#refusals += 1;
    // Once may be a restart that has not yet written its new token; twice with the same one is an answer.
    if (refused && this.#refusals >= 2) this.#end(new OptaError('unauthorized', 'The daemon refused the token'));
    else if (FATAL.has(error.code)) this.#end(error);
    else this.#lost(error);
  }

  /** Gives up this connection and tries again from the cursor. */
  #drop(error: OptaError): void {
    this.#release();
    this.#lost(error);
  }

  #release(): void {
    const socket = this.#socket;
    this.#socket = null;
    for (const name of ['tick', 'wake', 'snapshot'] as const) this.#stop(name);
    socket?.abort();
  }

  #lost(error: OptaError): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'open' && (this.#fruitful || this.#now() - this.#openedAt >= SETTLED_MS)) {
      this.#disconnectedAt = this.#now();
      this.#attempts = 0;
    }
    this.#release();
    if (this.#now() - this.#disconnectedAt >= (this.#options.retryForMs ?? Number.POSITIVE_INFINITY)) {
      const told = errorRow(error.code).status === 503 ? error.message : `${error.code}: ${error.message}`;
      this.#end(new OptaError('daemon-unreachable', `The connection to the daemon was lost: ${told}`));
      return;
    }
    const delayMs = delayOf(this.#attempts, this.#options.backoff, this.#options.random);
    this.#attempts += 1;
    this.#become('waiting');
    if (this.#state === 'waiting') this.#after('retry', delayMs, () => void this.#connect());
  }

  #end(error: OptaError | null): void {
    if (this.#state === 'ended') return;
    this.#become('ended');
    for (const name of this.#timers.keys()) this.#stop(name);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#dispose();
    this.#settle(error);
  }

  #become(state: AttachState): void {
    if (this.#state === state && state !== 'connecting') return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  #after(name: Timer, ms: number, run: () => void): void {
    this.#stop(name);
    this.#timers.set(name, setTimeout(run, ms));
  }

  #stop(name: Timer): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}
