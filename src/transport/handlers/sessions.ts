import { LIMITS } from '../../actors/limits.ts';
import type { LogPage } from '../../actors/ports.ts';
import type { SESSION_OPERATIONS } from '../../protocol/operations/sessions.ts';
import { type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import type { HandlersOf } from '../dispatch.ts';
import { CANCEL_ASK_MS, type HandlerDeps, named, within } from './deps.ts';
import { eventStream } from './event-stream.ts';
import { exportSession } from './export.ts';

const SESSIONS_PAGE = 50;
const NOT_FOUND = 'Session not found';

export const sessionHandlers = (deps: HandlerDeps): HandlersOf<keyof typeof SESSION_OPERATIONS> => {
  const { runtime } = deps;
  const get = (id: string): Promise<SessionState> =>
    named(
      NOT_FOUND,
      within<SessionState>(deps, (done) => runtime.get(id, done)),
    );
  return {
    'sessions.create': async ({ body }) => ({ body: await within(deps, (done) => runtime.create(body, done)) }),
    'sessions.list': async ({ query: { limit, ...rest } }) => {
      const page = { limit: limit ?? SESSIONS_PAGE, ...given(rest) };
      return { body: await within(deps, (done) => runtime.list(page, done)) };
    },
    'sessions.get': async ({ params }) => {
      const state = await get(params.id);
      return { body: { ...toSnapshot(state), messages: state.messages } };
    },
    'sessions.patch': async ({ params, body }) => ({
      body: await named(
        NOT_FOUND,
        within(deps, (done) => runtime.patch(params.id, body, done)),
      ),
    }),
    'sessions.delete': async ({ params }) => ({
      body: await named(
        NOT_FOUND,
        within(deps, (done) => runtime.delete(params.id, done), CANCEL_ASK_MS),
      ),
    }),
    'sessions.undelete': async ({ params }) => ({
      body: await named(
        NOT_FOUND,
        within(deps, (done) => runtime.undelete(params.id, done)),
      ),
    }),
    'sessions.fork': async ({ params, body }) => ({
      body: await named(
        NOT_FOUND,
        within(deps, (done) => runtime.fork(params.id, given(body), done)),
      ),
    }),
    'sessions.export': async ({ params, query }) => exportSession(deps, await get(params.id), query.format ?? 'json'),
    'sessions.presence': async ({ params }) => {
      const present = runtime.presence(params.id);
      // Somebody may wait for a session that is yet to be made; without anybody it has to be one.
      if (present.length === 0) await get(params.id);
      return { body: { sessionId: params.id, present } };
    },
    'events.read': async ({ params, query }) => ({
      json: await readEvents(deps, params.id, query.afterSeq ?? 0, query.limit ?? Number.POSITIVE_INFINITY),
    }),
    'events.stream': ({ query }) => eventStream(deps, query),
  };
};

/** Without the fields that are undefined. */
const given = <T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

/**
 * [EV3] The stored texts are joined, never parsed and written again: the bytes of the answer are the bytes that were published.
 * Reads page by page, so a long log neither blocks the loop nor waits in memory beyond one answer.
 */
const readEvents = async (deps: HandlerDeps, sessionId: string, afterSeq: number, limit: number): Promise<string> => {
  const texts: string[] = [];
  let chars = 0;
  let cursor = afterSeq;
  let head = 0;
  do {
    const room = Math.min(limit - texts.length, LIMITS.readPageRecordsMax);
    const page = await within<LogPage>(deps, (done) => deps.runtime.read(sessionId, cursor, room, done));
    const last = page.records.at(-1);
    head = page.head;
    if (!last) break;
    for (const record of page.records) {
      texts.push(record.text);
      chars += record.text.length;
    }
    cursor = last.seq;
  } while (cursor < head && texts.length < limit && chars < LIMITS.eventsReplyBytesMax);
  const more = texts.length > 0 && cursor < head && texts.length < limit;
  return `{"events":[${texts.join(',')}]${more ? ',"more":true' : ''}}`;
};
