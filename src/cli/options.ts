import { isLoopbackHost } from '../client/daemon-state.ts';
import { invalidProvider, providerOf } from '../config/providers.ts';
import { parseSince } from '../operations/since.ts';
import type { Mode } from '../protocol/turn.ts';
import { UsageError } from './exit.ts';

export const parseProvider = (text: string): string => {
  const name = providerOf(text);
  if (name === undefined) throw new UsageError(invalidProvider(text), 1);
  return name;
};

export interface Device {
  host: string;
  port?: number;
}

/** `host`, `host:port`, `[ipv6]`, `[ipv6]:port`, or a URL with nothing after the port. */
export const parseDevice = (text: string): Device => {
  const bad = new UsageError(`Invalid device "${text}": expected host, host:port or [ipv6]:port`);
  const bare = text.trim().replace(/^https?:\/\//i, '');
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/.exec(bare);
  if (!match?.[1]) throw bad;
  if (match[2] === undefined) return { host: match[1] };
  const port = Number(match[2]);
  if (port < 1 || port > 65_535) throw bad;
  return { host: match[1], port };
};

export const parseCount =
  (name: string, max = 1_000_000) =>
  (text: string): number => {
    const n = Number(text);
    if (!Number.isInteger(n) || n < 1 || n > max)
      throw new UsageError(`${name} must be a whole number from 1 to ${max}`);
    return n;
  };

/** 0 asks the system for a free port. */
export const parsePort = (text: string): number => {
  const n = Number(text);
  if (!/^\d+$/.test(text) || n > 65_535) throw new UsageError(`Invalid port "${text}"`);
  return n;
};

/** Guardrail: the daemon holds the keys to the user's files, so it listens on loopback and nowhere else. */
export const parseListenHost = (text: string): string => {
  if (isLoopbackHost(text)) return text;
  throw new UsageError(`The daemon only listens on loopback, not on "${text}"`);
};

/** Seconds, or with a unit: 500ms, 30s, 10m, 2h. Returns milliseconds. */
export const parseDuration = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim());
  const ms = match ? Number(match[1]) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] ?? 's']! : 0;
  // Above this a timer would fire at once.
  if (ms < 1 || ms > 2_147_483_647) throw new UsageError(`Invalid duration "${text}": expected e.g. 30s, 10m, 2h`);
  return ms;
};

/** A point in time, in ms. */
export const parseSinceTime = (text: string): number => {
  const ms = parseSince(text);
  if (ms === null) throw new UsageError(`Invalid time "${text}": expected e.g. 2026-01-31, 7d, 2w or 1m`);
  return ms;
};

const SOURCES: readonly string[] = ['local', 'lmx', 'hybrid'];

export const parseSource = (text: string): string => {
  if (SOURCES.includes(text)) return text;
  throw new UsageError(`Unknown source "${text}": ${SOURCES.join(', ')}`);
};

const MODES: readonly string[] = ['chat', 'do', 'plan', 'review', 'research'] satisfies Mode[];

/** `ceo` is a way of doing, not a mode of its own; what is unknown is treated as `do`, which the caller is told. */
export const parseMode = (text: string): { mode: Mode; ceo: boolean; known: boolean } => {
  if (MODES.includes(text)) return { mode: text as Mode, ceo: false, known: true };
  return { mode: 'do', ceo: text === 'ceo', known: text === 'ceo' };
};

/** Whether a command line asks for JSON, as far as can be told when it could not be parsed. */
export const asksForJson = (argv: readonly string[]): boolean =>
  argv.some(
    (arg, i) =>
      arg === '--json' ||
      /^(--format=|-f)jsonl?$/.test(arg) ||
      ((arg === '--format' || arg === '-f') && /^jsonl?$/.test(argv[i + 1] ?? '')),
  );
