import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestHead, Response } from '../port.ts';

/**
 * The page, as its build left it: read once, at the start, and held. A request is a look into a table, so that no path of a URL ever
 * reaches the disk ([WB1]). Only text is served, since the answers of the port are text.
 */
export interface WebFile {
  head: Omit<Response, 'body'>;
  etag: string;
  text: string;
}

export interface WebFiles {
  /** Null for what is none of the page's. */
  find(path: string): WebFile | null;
  /** False where the page was not built. */
  readonly built: boolean;
}

const FILES_MAX = 200;
const FILE_BYTES_MAX = 4 << 20;
const ALL_BYTES_MAX = 16 << 20;

const TYPES: { readonly [extension: string]: string } = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json; charset=utf-8',
  svg: 'image/svg+xml; charset=utf-8',
  webmanifest: 'application/manifest+json; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
};

/** A daemon on another port of this machine may be asked too; the literal `[::1]` is no source that a policy can name. */
const CONNECT = ['127.0.0.1', 'localhost'].flatMap((host) => [`http://${host}:*`, `ws://${host}:*`]).join(' ');

/** Nothing comes from elsewhere, nothing runs that is not a file of the page, and no text becomes markup. */
export const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  `connect-src 'self' ${CONNECT}`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** On every file: whatever a browser is told to open, it opens under these. */
const GUARDS: Response['headers'] = [
  ['content-security-policy', CONTENT_POLICY],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['permissions-policy', 'camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), clipboard-read=()'],
];

/** Vite's names of assets end in a hash of what is in them. */
const HASHED = /-[\w-]{8,}\.\w+$/;
const FOREVER = 'public, max-age=31536000, immutable';

/** The files of `dir`, or of nothing when there is no `index.html` in it. `skipped` is told what is not served, and why. */
export const readWebFiles = (dir: string | null, skipped: (name: string, why: string) => void): WebFiles => {
  const files = new Map<string, WebFile>();
  const page = dir === null ? null : readText(join(dir, 'index.html'));
  if (dir === null || page === null) return { built: false, find: (path) => (path === '/' ? NOT_BUILT : null) };
  files.set('/', fileOf('html', page, 'no-store'));
  let bytes = page.length;
  for (const name of [...namesOf(dir), ...namesOf(join(dir, 'assets')).map((asset) => `assets/${asset}`)]) {
    const type = name.slice(name.lastIndexOf('.') + 1);
    if (name === 'index.html' || !Object.hasOwn(TYPES, type)) continue;
    const text = readText(join(dir, name));
    bytes += text?.length ?? 0;
    if (text === null || files.size >= FILES_MAX || bytes > ALL_BYTES_MAX)
      skipped(name, 'too large, or too many files');
    else
      files.set(`/${name}`, fileOf(type, text, name.startsWith('assets/') && HASHED.test(name) ? FOREVER : 'no-cache'));
  }
  return { built: true, find: (path) => files.get(path) ?? null };
};

/** Plain files only: a link may lead anywhere. */
const namesOf = (dir: string): string[] => {
  try {
    return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
  } catch (cause) {
    // A page without assets.
    if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
    return [];
  }
};

const readText = (path: string): string | null => {
  try {
    const stat = lstatSync(path);
    return stat.isFile() && stat.size <= FILE_BYTES_MAX ? readFileSync(path, 'utf8') : null;
  } catch (cause) {
    // It is not there, or cannot be read: then there is no such file for the page either.
    if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
    return null;
  }
};

const fileOf = (type: string, text: string, cache: string, status = 200): WebFile => {
  const etag = `"${createHash('sha256').update(text).digest('hex').slice(0, 16)}"`;
  const headers: Response['headers'] = [
    ['content-type', TYPES[type] as string],
    ['cache-control', cache],
    // What is never kept has nothing to be compared with.
    ...(cache === 'no-store' ? [] : ([['etag', etag]] as const)),
    ...GUARDS,
  ];
  return { etag, text, head: { status, headers } };
};

const NOT_BUILT = fileOf(
  'txt',
  'The web page of this daemon was not built. In its folder: npm run build; then: opta daemon restart\n',
  'no-store',
  404,
);

/** Whether this request is one that a file may answer. */
export const asksForFile = ({ method }: RequestHead): boolean => method === 'GET' || method === 'HEAD';
