import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import { get, type Net, type Page, systemResolve } from '../web/get.ts';
import { htmlText } from '../web/html-text.ts';
import { PUBLIC } from '../web/target.ts';

export interface WebFetchArgs {
  url: string;
  max_chars?: number | undefined;
}

export const FETCH_CHARS = 20_000;

/** One page of the open internet as text ([TL8]). The workspace plays no part in it. */
export const webFetch = async (
  _ws: unknown,
  args: WebFetchArgs,
  bounds: Bounds,
  net: Net = { ...PUBLIC, resolve: systemResolve },
): Promise<ToolResult> => {
  const page = await get(args.url, net, isText, Math.min(LIMITS.toolFetchMs, 0.8 * bounds.deadlineMs));
  const text = inLines(textOf(page));
  const charsMax = args.max_chars ?? FETCH_CHARS;
  const shown = text.slice(0, charsMax).replace(/[\ud800-\udbff]$/, '');
  const output = new Output(bounds.outputBytesMax);
  // In front of what the page says, which could say anything about itself.
  output.add(`${page.url.href}\nstatus ${page.status}, ${printable(page.type.slice(0, 100)) || 'no type'}\n\n`);
  output.add(shown);
  const notes: string[] = [];
  if (shown.length < text.length) notes.push(`cut: ${shown.length} of ${text.length} characters shown`);
  if (page.cut) notes.push(`the page is larger than ${LIMITS.toolFetchBytesMax} bytes and was not read to its end`);
  if (text === '') notes.push('the page holds no text');
  return { ...output.done(notes), isError: page.status >= 400 };
};

const kindOf = (type: string): string => (type.split(';')[0] ?? '').trim().toLowerCase();

/** A server that does not say is taken at its bytes. */
export const isText = (type: string): boolean =>
  /^(?:$|text\/|application\/(?:.+\+)?(?:json|xml|yaml)$|application\/(?:x-ndjson|x-yaml|javascript|ecmascript|toml)$)/.test(
    kindOf(type),
  );

const HTML = new Set(['text/html', 'application/xhtml+xml']);

const textOf = ({ type, body, url }: Page): string => {
  const isHtml =
    HTML.has(kindOf(type)) || (type === '' && /^\s*<(?:!doctype html|html)/i.test(body.toString('latin1', 0, 500)));
  const inPage = isHtml
    ? /<meta[^>]{0,200}charset\s*=\s*["']?([\w-]{1,40})/i.exec(body.toString('latin1', 0, 2_048))
    : null;
  const text = decoded(body, /charset\s*=\s*"?([\w-]{1,40})/i.exec(type)?.[1] ?? inPage?.[1]);
  return isHtml ? htmlText(text, url.href) : text.replaceAll('\r\n', '\n').trim();
};

const decoded = (body: Buffer, charset = 'utf-8'): string => {
  try {
    return new TextDecoder(charset).decode(body);
  } catch {
    // A name that nobody knows: most pages are this.
    return new TextDecoder().decode(body);
  }
};

/** A page cannot move a cursor or turn a line around. */
const inLines = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.split('\t').map(printable).join('\t'))
    .join('\n');
