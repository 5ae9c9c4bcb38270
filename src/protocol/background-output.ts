import { type Background, type BackgroundChunk, MARK_EVERY } from './background.ts';
import { decodeEnvelope } from './envelope.ts';
import { OptaError } from './errors.ts';

export interface OutputQuery {
  /** Chunks after this one. */
  afterSeq: number;
  limit: number;
  stream: 'stdout' | 'stderr' | 'both';
}

export interface OutputPage {
  chunks: BackgroundChunk[];
  /** `seq` of the newest chunk that was looked at: where to go on. */
  nextSeq: number;
  hasMore: boolean;
}

type Answer<T> = (error: OptaError | null, value: T) => void;
/** Records of the session after a `seq`, in order; at least one when there is one. */
type ReadLog = (afterSeq: number, done: Answer<{ records: { seq: number; text: string }[] }>) => void;

/**
 * What a background process wrote, out of its session's log: from the newest mark before the cursor on, a page of the log at a time,
 * until the answer is full or there is no more.
 */
export const readOutput = (
  read: ReadLog,
  { processId, chunks: newest, marks }: Background,
  { afterSeq, limit, stream }: OutputQuery,
  charsMax: number,
  done: Answer<OutputPage>,
): void => {
  const chunks: BackgroundChunk[] = [];
  let [seen, chars] = [afterSeq, 0];
  const answer = (hasMore: boolean): void => done(null, { chunks, nextSeq: seen, hasMore });

  const take = ({ records }: { records: { text: string }[] }): boolean => {
    for (const { text } of records.filter((r) => r.text.includes('"event":"background.output"'))) {
      const { record } = decodeEnvelope(text);
      if (record.event !== 'background.output' || record.payload.processId !== processId) continue;
      const { processId: _, sessionId: __, pid: ___, ...chunk } = record.payload;
      if (chunk.seq <= seen) continue;
      if (stream === 'both' || stream === chunk.stream) {
        if (chunks.length >= limit || chars > charsMax) return false;
        chunks.push(chunk);
        chars += chunk.text.length;
      }
      seen = chunk.seq;
    }
    return true;
  };
  const next = (cursor: number): void => {
    if (seen >= newest) return answer(false);
    read(cursor, (error, page) => {
      // Its session was purged meanwhile.
      const gone = new OptaError('background-not-found', 'Background process not found');
      if (error || page.records.length === 0) return done(error ?? gone, null as never);
      if (take(page)) next(page.records.at(-1)?.seq ?? cursor);
      else answer(true);
    });
  };
  next((marks[Math.floor(afterSeq / MARK_EVERY)] ?? 1) - 1);
};
