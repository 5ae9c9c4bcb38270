import type { Envelope } from '../protocol/envelope.ts';
import type { OptaError } from '../protocol/errors.ts';
import type { LogRecord } from '../protocol/events.ts';
import type { Role } from '../protocol/session.ts';
import type { SessionState } from '../protocol/session-state.ts';
import type { DaemonAddress } from './platform.ts';

export interface AttachOptions {
  sessionId: string;
  /** Exclusive: the last `seq` that is already known. */
  afterSeq: number;
  /** Asked before each connection, since a restarted daemon has another port and token. */
  address: () => Promise<DaemonAddress>;
  /** `text` is the frame as it came, byte for byte. What this throws ends the attachment. */
  onEnvelope(envelope: Received, text: string): void;
  onState?(state: AttachState): void;
  /** An error frame that did not end the attachment, or something that a person should know. */
  onNotice?(error: OptaError): void;
  /** Frames that are no events: acks, errors that answer a command, presence. */
  onFrame?(frame: Frame): void;
  /** Begin with the state of now in place of the history: `head` says where the log is, for the daemon to begin there. */
  snapshot?: { head(): Promise<number>; take(state: SessionState): void };
  /** Whether the log still has what was seen last. Asked when another daemon answers: a power cut may have taken it back. */
  holds?(last: { seq: number; seen: Received | null }): Promise<boolean>;
  /** It has not: the cursor is 0 now and everything comes again. Without this the attachment ends with `log-rewound`. */
  onRewound?(): void;
  /** Who attaches: stands in the URL of each connection, and is the first frame on it. */
  hello?: { role?: Role; clientId?: string; writerId?: string };
  features?: string[];
  /** Without a connection for this long the attachment ends with `daemon-unreachable`. Default: never. */
  retryForMs?: number;
  backoff?: { baseMs: number; maxMs: number };
  /** A silent connection is asked for a sign of life after this, and given up after twice as long. */
  pingEveryMs?: number;
  /** For tests: what the jitter draws from, and the clock on the wall, which jumps when the machine has slept. */
  random?: () => number;
  now?: () => number;
}

export type Received = Envelope & { record: LogRecord };
export type Frame = { readonly [field: string]: unknown };
export type AttachState = 'connecting' | 'open' | 'waiting' | 'ended';
