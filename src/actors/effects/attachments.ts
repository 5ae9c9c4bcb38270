import { OptaError } from '../../protocol/errors.ts';
import type { PresenceEntry } from '../../protocol/session.ts';
import type { Limits } from '../limits.ts';
import type { Attachment, Clock, LogStore, Reader, StoredRecord, Who } from '../ports.ts';
import { createLogPages } from './log-pages.ts';
import { type Attendee, createPresence, type Presence } from './presence.ts';

/**
 * The event plane's delivery: one cursor for each attachment, and one rule: what is sent next is `cursor + 1`.
 *
 * A reader in step gets each batch as it is published. A reader that is behind, new, or above its byte budget is fed from the
 * ring or the log, which is the buffer for slow readers; so nothing is ever skipped ([EV2]) and memory does not grow with
 * them. One that takes nothing for `readerStallMs` is closed with a reason and resumes from its cursor.
 */
export interface Attachments {
  attach(sessionId: string, afterSeq: number, reader: Reader, who?: Who): Attachment;
  /** Who is attached now. */
  presence(sessionId: string): PresenceEntry[];
  /** Somebody is attached who may decide: an observer may not. */
  attended(sessionId: string): boolean;
  publish(sessionId: string, records: StoredRecord[]): void;
  /** The log moved without a publish: after a failed commit that had landed. */
  moved(sessionId: string, head: number): void;
  /** What the log held is gone: who is attached is told, and nothing of it is kept. */
  purged(sessionId: string): void;
  closeAll(): void;
  readonly total: number;
  /** The fullest ring, and the pages of all sessions. */
  levels(): { ringFrames: number; ringBytes: number; pagesBytes: number };
}

interface Topic {
  members: Set<Member>;
  /** Newest committed frames, contiguous; `head` is the newest committed `seq` known here. */
  ring: StoredRecord[];
  ringBytes: number;
  head: number;
  presence: Presence;
}

interface Member extends Attendee {
  sessionId: string;
  cursor: number;
  reading: boolean;
  blocked: boolean;
  stall: unknown;
  open: boolean;
  /** The log was read at least once, so `head` is real. */
  primed: boolean;
  /** Pages in a row that had nothing, although the head is ahead. */
  empty: number;
}

/** A page may be from before the newest commit; this often in a row it is not. */
const EMPTY_PAGES_MAX = 10;

export const createAttachments = (parts: { store: LogStore; clock: Clock; limits: Limits }): Attachments => {
  const { clock, limits } = parts;
  const pages = createLogPages(parts);
  const topics = new Map<string, Topic>();
  let total = 0;
  let ids = 0;

  const topicOf = (sessionId: string): Topic => {
    const found = topics.get(sessionId);
    if (found) return found;
    const members = new Set<Member>();
    const presence = createPresence({ clock, limits, attendees: () => members, head: () => topic.head });
    const topic: Topic = { members, ring: [], ringBytes: 0, head: 0, presence };
    topics.set(sessionId, topic);
    return topic;
  };

  const close = (m: Member): void => {
    if (!m.open) return;
    m.open = false;
    total--;
    clock.clearTimeout(m.stall);
    const topic = topics.get(m.sessionId);
    topic?.members.delete(m);
    topic?.presence.changed();
    if (topic?.members.size !== 0) return;
    topic.presence.close();
    topics.delete(m.sessionId);
    pages.forget(m.sessionId);
  };

  const full = (m: Member): boolean => m.reader.bufferedBytes() > limits.readerBytesMax;

  const block = (m: Member): void => {
    if (m.blocked) return;
    m.blocked = true;
    const at = m.reader.bufferedBytes();
    m.stall = clock.setTimeout(() => stalled(m, at), limits.readerStallMs);
  };

  const stalled = (m: Member, before: number): void => {
    if (!m.open || !m.blocked) return;
    const now = m.reader.bufferedBytes();
    if (now < before) {
      m.stall = clock.setTimeout(() => stalled(m, now), limits.readerStallMs);
      return;
    }
    close(m);
    m.reader.close('slow-reader', `Nothing was read for ${limits.readerStallMs} ms; resume after seq ${m.cursor}.`);
  };

  /** Sends what continues the cursor, up to the byte budget. */
  const send = (m: Member, records: readonly StoredRecord[]): void => {
    for (const r of records) {
      if (r.seq <= m.cursor) continue;
      if (!m.open || r.seq !== m.cursor + 1) return;
      m.cursor = r.seq;
      m.reader.send(r.text);
      if (full(m)) {
        block(m);
        return;
      }
    }
  };

  const pump = (m: Member): void => {
    const topic = topics.get(m.sessionId);
    if (!topic || !m.open || m.reading || m.blocked) return;
    if (m.primed && m.cursor >= topic.head) return;
    const first = topic.ring[0]?.seq ?? 0;
    const last = topic.ring.at(-1)?.seq ?? 0;
    // The ring can end before the head: what landed although its commit failed was never published.
    if (m.cursor + 1 >= first && m.cursor < last && last === topic.head) {
      m.primed = true;
      send(m, topic.ring.slice(m.cursor + 1 - first));
      return;
    }
    m.reading = true;
    pages.read(m.sessionId, m.cursor, (error, page) => {
      m.reading = false;
      if (!m.open) return;
      if (error) {
        close(m);
        m.reader.close('storage', `The event log cannot be read: ${error.message}`);
        return;
      }
      if (!m.primed && page.head === 0 && topic.head === 0) {
        m.reader.warn('session-not-found', `Session not found: ${m.sessionId}`);
      }
      m.primed = true;
      topic.head = Math.max(topic.head, page.head);
      m.empty = page.records.length === 0 && m.cursor < topic.head ? m.empty + 1 : 0;
      if (m.empty > EMPTY_PAGES_MAX) {
        close(m);
        m.reader.close('storage', `The log has nothing after seq ${m.cursor}, where ${topic.head} was seen.`);
        return;
      }
      send(m, page.records);
      // One page a turn of the event loop, so that a long replay never holds up the others.
      clock.soon(() => pump(m));
    });
  };

  const remember = (topic: Topic, records: StoredRecord[]): void => {
    const last = topic.ring.at(-1);
    if (last && records[0] && records[0].seq !== last.seq + 1) {
      topic.ring = [];
      topic.ringBytes = 0;
    }
    for (const r of records) {
      topic.ring.push(r);
      topic.ringBytes += r.text.length;
    }
    let drop = 0;
    while (
      topic.ring.length - drop > limits.ringFramesMax ||
      (topic.ringBytes > limits.ringBytesMax && topic.ring.length - drop > 1)
    ) {
      topic.ringBytes -= topic.ring[drop]?.text.length ?? 0;
      drop++;
    }
    if (drop > 0) topic.ring.splice(0, drop);
  };

  return {
    attach(sessionId, afterSeq, reader, who = { role: 'controller', via: 'ws' }) {
      if (total >= limits.attachmentsMax) {
        throw new OptaError('too-many-requests', `There are ${total} attachments already.`);
      }
      const m: Member = {
        id: `attachment_${++ids}`,
        sessionId,
        reader,
        who,
        sinceMs: clock.now(),
        watching: reader.presence !== undefined,
        cursor: afterSeq,
        reading: false,
        blocked: false,
        stall: undefined,
        open: true,
        primed: false,
        empty: 0,
      };
      total++;
      const { members, presence } = topicOf(sessionId);
      members.add(m);
      presence.changed();
      clock.soon(() => pump(m));
      return {
        id: m.id,
        introduce(more, watch = m.watching) {
          if (!m.open) return;
          m.who = { ...m.who, ...more };
          m.watching = watch;
          presence.changed();
        },
        get cursor() {
          return m.cursor;
        },
        drained() {
          if (!m.open || !m.blocked || full(m)) return;
          m.blocked = false;
          clock.clearTimeout(m.stall);
          pump(m);
        },
        detach: () => close(m),
      };
    },
    publish(sessionId, records) {
      const topic = topics.get(sessionId);
      const first = records[0];
      const last = records.at(-1);
      if (!topic || !first || !last) return;
      topic.head = Math.max(topic.head, last.seq);
      remember(topic, records);
      for (const m of topic.members) {
        if (m.blocked || m.reading) continue;
        if (m.cursor + 1 === first.seq) {
          m.primed = true;
          send(m, records);
        } else pump(m);
      }
    },
    moved(sessionId, head) {
      const topic = topics.get(sessionId);
      if (!topic) return;
      topic.head = Math.max(topic.head, head);
      for (const m of topic.members) pump(m);
    },
    purged(sessionId) {
      for (const m of [...(topics.get(sessionId)?.members ?? [])]) {
        close(m);
        m.reader.close('session-deleted', 'What the session held is gone.');
      }
      pages.forget(sessionId);
    },
    presence: (sessionId) => topics.get(sessionId)?.presence.entries() ?? [],
    attended: (sessionId) => [...(topics.get(sessionId)?.members ?? [])].some((m) => m.who.role !== 'observer'),
    closeAll() {
      for (const topic of [...topics.values()]) {
        for (const m of [...topic.members]) {
          close(m);
          m.reader.close('shutting-down', 'The daemon is stopping.');
        }
      }
    },
    get total() {
      return total;
    },
    levels() {
      let [ringFrames, ringBytes] = [0, 0];
      for (const topic of topics.values()) {
        ringFrames = Math.max(ringFrames, topic.ring.length);
        ringBytes = Math.max(ringBytes, topic.ringBytes);
      }
      return { ringFrames, ringBytes, pagesBytes: pages.bytes };
    },
  };
};
