import { LIMITS } from '../../actors/limits.ts';
import type { LogPage } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Message } from '../../protocol/session.ts';
import { type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import type { Answer } from '../dispatch.ts';
import type { ResponseStream, StreamEnd } from '../port.ts';
import { type HandlerDeps, within } from './deps.ts';

const PAGE_RECORDS = 500;

/**
 * A session as one file. Throws `too-many-requests`. `jsonl` is the event log itself, byte for byte, one event a line, up to the head of now; it is read a
 * page at a time as the client takes it, so its size does not matter. `json` and `markdown` show the conversation.
 */
export const exportSession = (
  deps: HandlerDeps,
  state: SessionState,
  format: 'json' | 'jsonl' | 'markdown',
): Answer<unknown> => {
  const headers = [['content-disposition', `attachment; filename="${state.sessionId}.${EXTENSION[format]}"`]] as const;
  if (format === 'markdown') return { text: markdown(state), type: 'text/markdown; charset=utf-8', headers };
  if (format === 'json') return { body: { ...toSnapshot(state), messages: state.messages }, headers };
  if (deps.exports.size >= LIMITS.exportsMax) {
    throw new OptaError('too-many-requests', `${deps.exports.size} logs are being exported already`, {
      retryAfterMs: 1_000,
    });
  }
  return { type: 'application/jsonl; charset=utf-8', headers, open: (out) => logLines(deps, state, out) };
};

const EXTENSION = { json: 'json', jsonl: 'jsonl', markdown: 'md' } as const;

/**
 * Writes the next page when the last one has left; cuts the connection rather than end a file that is not whole, and when nothing
 * of it was taken for `readerStallMs` ([SV2]).
 */
const logLines = (deps: HandlerDeps, { sessionId, seq: head }: SessionState, out: ResponseStream): StreamEnd => {
  let cursor = 0;
  let reading = false;
  let open = true;
  let stall: unknown;
  let bytes = 0;
  const taken = (): number => bytes - out.bufferedBytes();
  const watch = (): void => {
    const before = taken();
    stall = deps.timers.setTimeout(() => {
      if (out.bufferedBytes() > 0 && taken() === before) out.cut();
      else watch();
    }, LIMITS.readerStallMs);
  };
  const next = async (): Promise<void> => {
    if (!open || reading || out.bufferedBytes() > 0) return;
    reading = true;
    const limit = Math.min(PAGE_RECORDS, head - cursor);
    const page = await within<LogPage>(deps, (done) => deps.runtime.read(sessionId, cursor, limit, done));
    reading = false;
    const last = page.records.at(-1);
    if (!open) return;
    if (!last) return out.cut();
    cursor = last.seq;
    const text = page.records.map((r) => `${r.text}\n`).join('');
    bytes += Buffer.byteLength(text);
    out.write(text);
    if (cursor >= head) out.end();
    else void advance();
  };
  const advance = (): Promise<void> => next().catch(() => out.cut());
  deps.exports.add(out);
  watch();
  void advance();
  return {
    drain: () => void advance(),
    closed: () => {
      open = false;
      deps.exports.delete(out);
      deps.timers.clearTimeout(stall);
    },
  };
};

const markdown = (state: SessionState): string => {
  const facts = [
    `Session \`${state.sessionId}\``,
    ...(state.model === '' ? [] : [`model \`${state.model}\``]),
    `begun ${state.createdAt}`,
  ];
  return [`# ${state.title ?? state.sessionId}`, facts.join(', '), ...state.messages.map(section), ''].join('\n\n');
};

const SPEAKER = { system: 'System', user: 'User', assistant: 'Assistant', tool: 'Tool result' } as const;

const section = (m: Message): string => {
  const calls = (m.tool_calls ?? []).map(
    (call) => `Calls \`${call.function.name}\`:\n\n${fenced(call.function.arguments)}`,
  );
  const text = m.role === 'tool' ? fenced(m.content) : m.content;
  return [`## ${SPEAKER[m.role]}`, ...(text === '' ? [] : [text]), ...calls].join('\n\n');
};

/** A fence that is longer than any in the text, so that no content ends it. */
const fenced = (text: string): string => {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
};
