import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { FrameSplitter } from '../bench/frames.ts';
import { connectRaw } from '../bench/upgrade.ts';

/**
 * A crowd of readers in a process of their own, so that the daemon has the test's core for itself: `Crowd` is the other end. A reader
 * keeps its cursor and compares each event's bytes with those that the first reader of its session was sent.
 */
export type ReaderKind = 'steady' | 'slow' | 'stuck' | 'fickle' | 'late';

export interface CrowdPlace {
  port: number;
  token: string;
}

export type CrowdOrder =
  | { type: 'attach'; place: CrowdPlace; readers: { sessionId: string; kind: ReaderKind }[] }
  /** The daemon is gone: nobody connects until it is back. */
  | { type: 'lost' }
  | { type: 'back'; place: CrowdPlace }
  /** Nothing more comes after these seqs: stuck readers read again, late ones come. */
  | { type: 'finish'; heads: { [sessionId: string]: number } };

export interface CrowdReport {
  violations: string[];
  /** SHA-256 of each session's events, each followed by a line feed. */
  hashes: { [sessionId: string]: string };
  frames: number;
  bytes: number;
  connects: number;
  /** Connections that readers cut themselves. */
  cuts: number;
  /** Error frames of the daemon, such as slow-reader; their readers resumed. */
  notices: { [code: string]: number };
}

export type CrowdWord =
  | { type: 'ready' | 'attached' }
  | { type: 'seen'; frames: number }
  | ({ type: 'report' } & CrowdReport);

const CONNECTING_MAX = 128;
const RETRY_MS = 100;
const TOLD_EVERY_MS = 50;
const EVENT_PREFIX = Buffer.from('{"v":"3"');
const SEQ = Buffer.from('"seq":');
const VIOLATIONS_MAX = 20;

const totals = { frames: 0, bytes: 0, connects: 0, cuts: 0 };
const notices: { [code: string]: number } = {};
const violations: string[] = [];
/** By session: the bytes of seq 1, 2, 3 …, kept by whoever was sent them first. */
const references = new Map<string, Buffer[]>();
let place: CrowdPlace | null = null;
let heads: { [sessionId: string]: number } | null = null;

const bad = (text: string): void => {
  if (violations.length < VIOLATIONS_MAX) violations.push(text);
};

const seqOf = (payload: Buffer): number => {
  let at = payload.indexOf(SEQ) + SEQ.length;
  let seq = 0;
  for (let c = payload[at] as number; c >= 48 && c <= 57; c = payload[++at] as number) seq = seq * 10 + c - 48;
  return seq;
};

class CrowdReader {
  cursor = 0;
  readonly sessionId: string;
  readonly kind: ReaderKind;
  /** Frames until the next cut, and how the one after that is made. */
  #patience: number;
  #cutsLeft = 5;
  #socket: Socket | null = null;
  #ready: (() => void) | null = null;

  constructor(sessionId: string, kind: ReaderKind, index: number) {
    this.sessionId = sessionId;
    this.kind = kind;
    this.#patience = 1 + (index % 37);
  }

  get done(): boolean {
    return heads !== null && this.cursor >= (heads[this.sessionId] ?? 0);
  }

  get #held(): boolean {
    return this.kind === 'late' && heads === null;
  }

  /** Resolves when it is attached for the first time, or has been held back. */
  start(): Promise<void> {
    if (this.#held) return Promise.resolve();
    return new Promise((resolve) => {
      this.#ready = resolve;
      queue.push(this);
      connectNext();
    });
  }

  async connect(): Promise<void> {
    const at = place;
    if (at === null || this.#socket !== null) return;
    totals.connects += 1;
    const path = `/v3/ws?sessionId=${this.sessionId}&afterSeq=${this.cursor}`;
    const opened = await connectRaw({ ...at, path }).catch(() => null);
    if (opened === null) {
      this.#again();
      return;
    }
    const { socket, rest } = opened;
    this.#socket = socket;
    this.#ready?.();
    this.#ready = null;
    const frames = new FrameSplitter();
    const take = (chunk: Buffer): void => {
      totals.bytes += chunk.length;
      frames.push(chunk, (payload, opcode) => {
        // What comes after a cut is not seen: a client that died had not seen it.
        if (this.#socket === socket && opcode === 1) this.#take(payload);
      });
      if (this.kind === 'slow') this.#rest(socket);
    };
    socket.on('data', take);
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#again();
    });
    if (rest.length > 0) take(rest);
    if (this.kind === 'stuck' && heads === null) socket.pause();
  }

  #again(): void {
    if (place === null) return;
    setTimeout(() => {
      queue.push(this);
      connectNext();
    }, RETRY_MS);
  }

  #rest(socket: Socket): void {
    socket.pause();
    setTimeout(() => socket.resume(), 5 + (this.cursor % 40));
  }

  #take(payload: Buffer): void {
    if (!payload.subarray(0, EVENT_PREFIX.length).equals(EVENT_PREFIX)) {
      const { code = 'none' } = JSON.parse(payload.toString()) as { code?: string };
      notices[code] = (notices[code] ?? 0) + 1;
      return;
    }
    const seq = seqOf(payload);
    if (seq !== this.cursor + 1) bad(`EV2: ${this.kind} reader of ${this.sessionId}: ${seq} after ${this.cursor}`);
    this.cursor = seq;
    totals.frames += 1;
    const reference = references.get(this.sessionId) as Buffer[];
    const known = reference[seq - 1];
    if (known === undefined) reference[seq - 1] = Buffer.from(payload);
    else if (!known.equals(payload)) bad(`EV3: ${this.kind} reader of ${this.sessionId}: seq ${seq} has other bytes`);
    if (this.kind === 'fickle' && this.#cutsLeft > 0 && --this.#patience <= 0) this.#cut();
    if (this.done) checkDone();
  }

  #cut(): void {
    this.#cutsLeft -= 1;
    this.#patience = 1 + ((this.cursor * 7) % 41);
    totals.cuts += 1;
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
    queue.push(this);
    connectNext();
  }

  lost(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  finish(): void {
    if (this.#socket) this.#socket.resume();
    else if (this.kind === 'late') void this.start();
  }
}

let readers: CrowdReader[] = [];
const queue: CrowdReader[] = [];
let connecting = 0;

const connectNext = (): void => {
  while (connecting < CONNECTING_MAX && queue.length > 0) {
    const reader = queue.shift() as CrowdReader;
    connecting += 1;
    void reader.connect().finally(() => {
      connecting -= 1;
      connectNext();
    });
  }
};

const say = (word: CrowdWord): void => {
  process.send?.(word);
};

let reported = false;
const checkDone = (): void => {
  if (reported || heads === null || readers.some((r) => !r.done)) return;
  reported = true;
  const hashes = Object.fromEntries(
    [...references].map(([sessionId, events]) => {
      const hash = createHash('sha256');
      for (const event of events) hash.update(event).update('\n');
      return [sessionId, hash.digest('hex')];
    }),
  );
  for (const reader of readers) reader.lost();
  say({ type: 'report', violations, hashes, notices, ...totals });
};

const obey = async (order: CrowdOrder): Promise<void> => {
  switch (order.type) {
    case 'attach':
      place = order.place;
      readers = order.readers.map(({ sessionId, kind }, i) => new CrowdReader(sessionId, kind, i));
      for (const { sessionId } of readers) references.set(sessionId, []);
      await Promise.all(readers.map((r) => r.start()));
      say({ type: 'attached' });
      return;
    case 'lost':
      place = null;
      return;
    case 'back':
      place = order.place;
      for (const reader of readers) reader.lost();
      await Promise.all(readers.map((r) => r.start()));
      say({ type: 'attached' });
      return;
    case 'finish':
      heads = order.heads;
      for (const reader of readers) reader.finish();
      checkDone();
  }
};

process.on('message', (order: CrowdOrder) => void obey(order));
process.on('disconnect', () => process.exit(0));
setInterval(() => say({ type: 'seen', frames: totals.frames }), TOLD_EVERY_MS).unref();
say({ type: 'ready' });
