import { LIMITS } from '../../actors/limits.ts';
import type { Timers } from '../ask.ts';
import { isKnown } from '../handlers/etag.ts';
import type { Exchange, RequestHead, Response, ResponseStream, StreamEnd } from '../port.ts';
import type { WebFile } from './files.ts';

/** What is given to a connection at once; the next piece follows when it has left. */
const PIECE_CHARS = 64 * 1024;

/**
 * Answers with a file of the page. A large one leaves in pieces as its client takes them, so that a slow client holds one piece and
 * not a copy of the file; one that takes nothing for `readerStallMs` is cut ([SV2], [SV3]).
 */
export const serveFile = (
  exchange: Exchange,
  head: RequestHead,
  file: WebFile,
  complete: (head: Omit<Response, 'body'>) => Omit<Response, 'body'>,
  timers: Timers,
): void => {
  const top = complete(file.head);
  if (file.head.status === 200 && isKnown(file.etag, head.headers.get('if-none-match'))) {
    exchange.reply({ status: 304, headers: top.headers.filter(([name]) => name !== 'content-type'), body: '' });
  } else if (file.text.length <= PIECE_CHARS || head.method === 'HEAD') exchange.reply({ ...top, body: file.text });
  else inPieces(exchange, top, file.text, timers);
};

const inPieces = (exchange: Exchange, head: Omit<Response, 'body'>, text: string, timers: Timers): void => {
  let end: StreamEnd | null = null;
  const out = exchange.stream(head, { drain: () => end?.drain(), closed: () => end?.closed() });
  if (out) end = pieces(out, text, timers);
};

const pieces = (out: ResponseStream, text: string, timers: Timers): StreamEnd => {
  let at = 0;
  let stall: unknown;
  const next = (): void => {
    if (out.bufferedBytes() > 0) return;
    timers.clearTimeout(stall);
    stall = timers.setTimeout(() => out.cut(), LIMITS.readerStallMs);
    const piece = pieceAt(text, at);
    at += piece.length;
    out.write(piece);
    if (at >= text.length) out.end();
    // Asked once, so that a drain is owed.
    else out.bufferedBytes();
  };
  next();
  return { drain: next, closed: () => timers.clearTimeout(stall) };
};

/** Never half of a pair: what is written is encoded piece by piece. */
const pieceAt = (text: string, at: number): string => {
  const end = Math.min(text.length, at + PIECE_CHARS);
  const last = text.charCodeAt(end - 1);
  return text.slice(at, end < text.length && last >= 0xd800 && last < 0xdc00 ? end - 1 : end);
};
