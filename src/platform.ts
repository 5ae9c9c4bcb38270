import { randomBytes } from 'node:crypto';
import { mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import pino from 'pino';
import { LIMITS } from './actors/limits.ts';
import type { Clock, Ids, Log } from './actors/ports.ts';

/** The real world behind the ports of time, identity and log, and the end of a process. */
export const realClock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
  soon: (fn) => {
    setImmediate(fn);
  },
};

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Unguessable and URL-safe: 12 characters are 72 bits. The first is a letter, so that an id is never taken for a flag. */
export const newId = (chars = 12): string => {
  const bytes = randomBytes(chars);
  let out = ALPHABET[(bytes[0] ?? 0) % 52] ?? 'A';
  for (let i = 1; i < chars; i++) out += ALPHABET[(bytes[i] ?? 0) & 63];
  return out;
};

export const realIds: Ids = { turn: newId, session: newId, process: newId, request: () => `perm_${newId(10)}` };

export interface FileLog extends Log {
  /** Writes out what is buffered; call before the process ends. */
  flush(): void;
}

/** JSON lines `{ts, level, msg, daemonId, sessionId?, data?}`; secrets never enter it, since nothing logs requests or tokens. */
export const fileLog = (file: string, daemonId: string): FileLog => {
  mkdirSync(dirname(file), { recursive: true });
  // Opened here: given a name, pino opens it a moment later, and a daemon that is stopped at once then fails in its last flush.
  const destination = pino.destination({ dest: openSync(file, 'a', 0o600), sync: false, minLength: 0 });
  const logger = pino(
    {
      base: { daemonId },
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    destination,
  );
  return {
    info: (msg, facts) => logger.info(membersOf(facts), msg),
    warn: (msg, facts) => logger.warn(membersOf(facts), msg),
    error: (msg, facts) => logger.error(membersOf(facts), msg),
    flush: () => destination.flushSync(),
  };
};

/** Scripts look for the facts of a line in `data`, and for its session beside them. */
const membersOf = (facts: object = {}): object => {
  const { sessionId, ...data } = facts as { sessionId?: unknown };
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(Object.keys(data).length === 0 ? {} : { data }),
  };
};

/** For what comes after the sessions and the connections: the store, and the lock. */
const CLOSE_MS = 3_000;

/** A clean stop, once; a second signal ends the process at once. */
export const onStopSignal = (stop: (signal: string) => Promise<void>): ((why: string) => void) => {
  let stopping = false;
  const on = (signal: string): void => {
    if (stopping) process.exit(130);
    stopping = true;
    const late = setTimeout(() => process.exit(1), LIMITS.drainDeadlineMs * 2 + CLOSE_MS);
    stop(signal).then(
      () => {
        clearTimeout(late);
        process.exit(0);
      },
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', on);
  process.on('SIGINT', on);
  return (why) => {
    if (!stopping) on(why);
  };
};

/** An exception that nobody owns leaves unknown state behind: the daemon ends, and the log brings its sessions back (R15). */
export const guardProcess = (log: { error(msg: string, facts?: object): void; flush(): void }): void => {
  const end = (kind: string) => (cause: unknown) => {
    // LMDB rejects a failed commit a second time where nobody can wait for it; the first rejection was handled.
    if (cause instanceof Error && 'commitError' in cause) return;
    log.error(`uncaught ${kind}`, { reason: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
    log.flush();
    process.exit(70);
  };
  process.on('uncaughtException', end('exception'));
  process.on('unhandledRejection', end('rejection'));
};
