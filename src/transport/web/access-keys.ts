import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { LIMITS } from '../../actors/limits.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Timers } from '../ask.ts';

/**
 * The rights of pages (docs/decisions/0010). Whoever has the token asks for a ticket, a page turns it in for a key, and the key
 * counts as the token does. A ticket lives in memory, for a minute. Of a key only the hash is kept, on disk too, so that a tab
 * outlives the daemon whose token changes with each start.
 *
 * Tickets and keys are 256 random bits: nobody finds one by asking, and a look into a map by hash tells nothing about it.
 */
export interface KeyFile {
  /** Null when there is none. */
  read(): string | null;
  /** Replaces it in one step, readable by its owner alone. */
  write(text: string): void;
}

export interface WebKeysOptions {
  file: KeyFile;
  now(): number;
  timers: Timers;
  warn(message: string, facts: { reason: string }): void;
}

export const TICKET_MS = LIMITS.webTicketMs;

const KeySchema = z.object({
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.number().int(),
  usedAt: z.number().int(),
});
const FileSchema = z.object({ v: z.literal(1), keys: z.array(KeySchema).max(LIMITS.webKeysMax) });
type Key = z.infer<typeof KeySchema>;
type Live = Key & { holds: Set<() => void> };

const secret = (): string => randomBytes(32).toString('base64url');
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export class WebKeys {
  readonly #o: WebKeysOptions;
  /** Hash → when it ends, oldest first. */
  readonly #tickets = new Map<string, number>();
  /** By hash, oldest first. */
  readonly #keys = new Map<string, Live>();
  /** When tickets were refused lately. */
  #refusals: number[] = [];
  #savedAt = 0;
  /** Looks after keys that hold something open. */
  #timer: unknown = null;

  constructor(options: WebKeysOptions) {
    this.#o = options;
    this.#load();
  }

  /** How many there are: keys, tickets, and tickets that were refused lately. */
  get held(): { keys: number; tickets: number; refusals: number } {
    const [now, { size: keys }] = [this.#o.now(), this.#keys];
    const tickets = [...this.#tickets.values()].filter((ends) => ends > now).length;
    return { keys, tickets, refusals: this.#refusals.filter((at) => at > now - TICKET_MS).length };
  }

  /** A new ticket; above `webTicketsMax` the oldest is void. */
  ticket(): { ticket: string; expiresAt: number } {
    const ticket = secret();
    const expiresAt = this.#o.now() + TICKET_MS;
    this.#tickets.set(hashOf(ticket), expiresAt);
    for (const [hash, ends] of this.#tickets) {
      if (this.#tickets.size > LIMITS.webTicketsMax || ends <= this.#o.now()) this.#tickets.delete(hash);
    }
    return { ticket, expiresAt };
  }

  /** [WB2] The key for a ticket, which is used up by this. Throws `ticket-refused`, and `too-many-requests` after many of these. */
  redeem(ticket: string): { key: string; expiresAt: number } {
    const now = this.#o.now();
    const hash = hashOf(ticket);
    const ends = this.#tickets.get(hash);
    this.#tickets.delete(hash);
    // A right ticket is always taken: whoever guesses without end is not to keep others out.
    if (ends === undefined || ends <= now) throw this.#refused(now);
    const key = secret();
    const made = { hash: hashOf(key), createdAt: now, usedAt: now, holds: new Set<() => void>() };
    this.#keys.set(made.hash, made);
    for (const [old, { createdAt }] of this.#keys) {
      if (this.#keys.size > LIMITS.webKeysMax || createdAt + LIMITS.webKeyMs <= now) this.#end(old);
    }
    // Without the file it is good until the daemon stops.
    this.#save(false);
    return { key, expiresAt: now + LIMITS.webKeyMs };
  }

  /** [WB3] The hash of a key that counts now; this is a use of it. */
  use(candidate: string): string | null {
    const key = this.#keys.get(hashOf(candidate));
    if (!key) return null;
    const now = this.#o.now();
    if (!this.#isGood(key, now)) {
      this.#end(key.hash);
      this.#save(false);
      return null;
    }
    key.usedAt = now;
    if (now - this.#savedAt >= LIMITS.webKeysSaveMs) this.#save(false);
    return key.hash;
  }

  /** What was opened with a key ends with it: `end` is called then, once. Returns the undo. */
  hold(hash: string, end: () => void): () => void {
    const key = this.#keys.get(hash);
    if (!key) {
      end();
      return () => undefined;
    }
    key.holds.add(end);
    this.#timer ??= this.#o.timers.setTimeout(this.#look, LIMITS.webKeysSaveMs);
    return () => {
      if (key.holds.delete(end)) key.usedAt = this.#o.now();
      if (![...this.#keys.values()].some(({ holds }) => holds.size > 0)) this.#rest();
    };
  }

  has(hash: string): boolean {
    return this.#keys.has(hash);
  }

  /** Ends one key. False when it is none. Throws `storage` when that could not be written: it would be back after a restart. */
  signOut(hash: string): boolean {
    const had = this.#keys.has(hash);
    this.#end(hash);
    if (had) this.#save(true);
    return had;
  }

  /** Ends all keys and tickets; says how many keys there were. Throws `storage`, as `signOut` does. */
  revokeAll(): number {
    const count = this.#keys.size;
    this.#tickets.clear();
    for (const hash of [...this.#keys.keys()]) this.#end(hash);
    this.#save(true);
    return count;
  }

  /** Keeps what is known of the last uses. */
  close(): void {
    this.#rest();
    if (this.#keys.size > 0) this.#save(false);
  }

  #isGood(key: Live, now: number): boolean {
    const used = key.holds.size > 0 ? now : key.usedAt;
    return now < key.createdAt + LIMITS.webKeyMs && now - used < LIMITS.webKeyIdleMs;
  }

  #end(hash: string): void {
    const key = this.#keys.get(hash);
    this.#keys.delete(hash);
    const ends = [...(key?.holds ?? [])];
    key?.holds.clear();
    for (const end of ends) end();
  }

  #refused(now: number): OptaError {
    this.#refusals = this.#refusals.filter((at) => at > now - TICKET_MS);
    const oldest = this.#refusals[0];
    if (oldest !== undefined && this.#refusals.length >= LIMITS.webRefusalsMax) {
      return new OptaError('too-many-requests', 'Too many tickets were refused', {
        retryAfterMs: oldest + TICKET_MS - now,
      });
    }
    this.#refusals.push(now);
    return new OptaError('ticket-refused', 'This ticket is unknown, used or too old. A new one: opta web');
  }

  readonly #look = (): void => {
    this.#timer = null;
    const now = this.#o.now();
    for (const key of [...this.#keys.values()]) {
      if (key.holds.size > 0 && !this.#isGood(key, now)) this.#end(key.hash);
      else if (key.holds.size > 0) key.usedAt = now;
    }
    this.#save(false);
    if ([...this.#keys.values()].some(({ holds }) => holds.size > 0)) {
      this.#timer = this.#o.timers.setTimeout(this.#look, LIMITS.webKeysSaveMs);
    }
  };

  #rest(): void {
    this.#o.timers.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** `must`: a failure is thrown, and not only told. */
  #save(must: boolean): void {
    this.#savedAt = this.#o.now();
    const keys = [...this.#keys.values()].map(({ holds: _, ...key }) => key);
    try {
      this.#o.file.write(`${JSON.stringify({ v: 1, keys })}\n`);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (must) throw new OptaError('storage', `The file of the web keys could not be written: ${reason}`);
      this.#o.warn('the file of the web keys could not be written: tabs have to sign in again after a restart', {
        reason,
      });
    }
  }

  /** What cannot be read is no right: tabs have to sign in again. */
  #load(): void {
    try {
      const text = this.#o.file.read();
      if (text === null) return;
      if (text.length > LIMITS.webKeysFileCharsMax) throw new Error(`it has ${text.length} characters`);
      const now = this.#o.now();
      for (const key of FileSchema.parse(JSON.parse(text)).keys) {
        // A clock that was set back makes no key live longer.
        const live = { ...key, holds: new Set<() => void>() };
        if (key.createdAt <= now && key.usedAt <= now && this.#isGood(live, now)) this.#keys.set(key.hash, live);
      }
    } catch (cause) {
      this.#keys.clear();
      const reason = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
      this.#o.warn('the file of the web keys cannot be read: there are none', { reason });
    }
  }
}
