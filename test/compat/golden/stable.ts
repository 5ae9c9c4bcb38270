import { hostname } from 'node:os';

/** What is replaced, and by what. */
export type Rule = readonly [what: RegExp | string, by: string];

export interface Facts {
  home: string;
  cwd: string;
  root: string;
  version: string;
  lmxPort: number;
}

/** Where ids stand: in JSON under these names, and in words after these words. */
const ID_PLACES: readonly RegExp[] = [
  /"(?:session_id|turn_id|sessionId|turnId|id|requestId|callId|activeTurnId|forkedFrom|processId)":\s?"([A-Za-z0-9_-]{12}|perm_[A-Za-z0-9_-]{10})"/g,
  /\b(?:session|turn|sessions show|why|export|undelete|Deleted|Restored) ([A-Za-z][A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])/g,
  /^([A-Za-z][A-Za-z0-9_-]{11}) {2}\d{4}-\d\d-\d\d /gm,
  /^([A-Za-z][A-Za-z0-9_-]{11}), forked from/gm,
  /\/v3\/sessions\/([A-Za-z][A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])/g,
];

/** Twelve letters that are a word of ours, or the name that a test gave. */
const isWord = (id: string): boolean => /^[a-z]+(-[a-z]+)*$/.test(id);

/**
 * The same text for every run: what a run made up is named by what it is. Ids are numbered in the order in which they appear, so that it
 * still shows which of them are the same.
 */
export const stable = (text: string, facts: Facts, more: readonly Rule[] = []): string =>
  [...more, ...rules(facts)].reduce(
    (out, [what, by]) => (typeof what === 'string' ? out.replaceAll(what, by) : out.replace(what, by)),
    withoutIds(text),
  );

const withoutIds = (text: string): string => {
  const found = ID_PLACES.flatMap((place) => [...text.matchAll(place)].map((m) => [m.index, m[1] as string] as const));
  const ids = [...new Set(found.sort(([a], [b]) => a - b).map(([, id]) => id))].filter((id) => !isWord(id));
  return ids.reduce((out, id, i) => out.replaceAll(id, `<id-${i + 1}>`), text);
};

const rules = ({ home, cwd, root, version, lmxPort }: Facts): Rule[] => [
  [cwd, '<cwd>'],
  [home, '<home>'],
  [root.replace(/\/$/, ''), '<root>'],
  [process.execPath, '<node>'],
  [process.version, '<node-version>'],
  // Times before numbers: they are made of them.
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '<time>'],
  [/\b\d{4}-\d\d-\d\d \d\d:\d\d\b/g, '<time>'],
  [/\b[0-9a-f]{48}\b/g, '<token>'],
  [/\b[0-9a-f]{32}\b/g, '<key>'],
  [/\bdaemon_[A-Za-z0-9_-]{8}(?![A-Za-z0-9_-])/g, '<daemon-id>'],
  [new RegExp(`\\b${lmxPort}\\b`, 'g'), '<lmx-port>'],
  [/((?:127\.0\.0\.1|localhost|\[::1\]):)\d+/g, '$1<port>'],
  [/\b(pid|process|Process) \d+/g, '$1 <pid>'],
  [/("(?:pid|ppid)":\s?)\d+/g, '$1<pid>'],
  [/("port":\s?)\d+/g, '$1<port>'],
  [
    /("(?:elapsed|elapsedMs|promptTokens|speed|firstTokenLatencyMs|durationMs|uptimeMs|uptime|uptimeSeconds|since|timestamp|p50Ms|p99Ms)":\s?)(?:\d+(?:\.\d+)?(?:e-?\d+)?|null)/g,
    '$1<n>',
  ],
  [/(?<![\d.])\d+(?:\.\d+)? (ms|s)\b/g, '<n> $1'],
  [new RegExp(`(\\bversion"?:?\\s"?|\\bthis is |^)${escaped(version)}\\b`, 'gm'), '$1<version>'],
  [
    new RegExp(`("hostname":\\s?"|Host Policy {7}|"message": "|says that )${escaped(hostname())}(?="| is )`, 'g'),
    '$1<host>',
  ],
  [/("processStarted":\s?)"[^"]+"/g, '$1<process>'],
  // The owner's inference host, which only the default settings name.
  [/\b192\.168\.\d+\.\d+\b/g, '<default-host>'],
];

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Control characters as text: what an escape code does to a golden file nobody could review. */
export const visible = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
