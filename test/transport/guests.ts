import type { Attachment, Reader, Who } from '../../src/actors/runtime.ts';
import type { PresenceEntry } from '../../src/protocol/session.ts';
import type { FakeRuntime } from './fake-runtime.ts';

/** One attachment and what it said about itself. */
export interface Guest {
  id: string;
  sessionId: string;
  who: Who | undefined;
  watch: boolean;
  reader: Reader;
  attachment: Attachment;
}

/** Lets a fake runtime know who is attached, tell those who watch, and keep what each one said. */
export const withGuests = (runtime: FakeRuntime): Guest[] => {
  const attach = runtime.attach.bind(runtime);
  const guests: Guest[] = [];
  let made = 0;
  const presence = (sessionId: string): PresenceEntry[] =>
    guests
      .filter((g) => g.sessionId === sessionId)
      .map((g) => ({
        attachmentId: g.id,
        role: 'controller',
        via: 'ws',
        ...g.who,
        since: '2026-01-02T03:04:05.678Z',
        cursor: g.attachment.cursor,
        lag: 0,
      }));
  const tell = (sessionId: string): void => {
    for (const g of guests)
      if (g.sessionId === sessionId && g.watch) g.reader.presence?.(presence(sessionId), presence(sessionId).length);
  };
  Object.assign(runtime, {
    presence,
    attach: (sessionId: string, afterSeq: number, reader: Reader, who?: Who): Attachment => {
      const inner = attach(sessionId, afterSeq, reader);
      made += 1;
      const guest: Guest = {
        id: `att_${made}`,
        sessionId,
        who,
        watch: reader.presence !== undefined,
        reader,
        attachment: inner,
      };
      guest.attachment = {
        id: guest.id,
        get cursor() {
          return inner.cursor;
        },
        introduce: (said, watch = guest.watch) => {
          guest.who = { role: 'controller', via: 'ws', ...guest.who, ...said };
          guest.watch = watch;
          tell(sessionId);
        },
        drained: () => inner.drained(),
        detach: () => {
          inner.detach();
          guests.splice(guests.indexOf(guest), 1);
          tell(sessionId);
        },
      };
      guests.push(guest);
      setImmediate(() => tell(sessionId));
      return guest.attachment;
    },
  });
  return guests;
};
