import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InboundFrameSchema } from '../../src/protocol/frames.ts';
import { OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { CreateSessionSchema } from '../../src/protocol/session.ts';
import { HOSTILE } from './hostile-ids.ts';

const FRAMES = [
  { type: 'hello', requestId: 'r', clientId: 'c', afterSeq: 3, features: ['x'] },
  {
    type: 'turn.submit',
    requestId: 'r',
    sessionId: 's',
    clientId: 'c',
    writerId: 'w',
    content: 'x',
    mode: 'do',
    onBusy: 'reject',
    lastSeenSeq: 4,
    overrides: { auto: true },
    metadata: { a: [1] },
  },
  { type: 'turn.cancel', requestId: 'r', sessionId: 's', turnId: 't', writerId: 'w' },
  { type: 'permission.resolve', sessionId: 's', requestId: 'p', decision: 'allow', decidedBy: 'ada', ackId: 'k' },
  { type: 'ping', requestId: 'r' },
] as const;

describe('inbound frames', () => {
  test('[AC1] no operation takes a hostile id from its path, and no frame does', () => {
    const withId = OPERATION_IDS.filter((id) => operation(id).paths[0].includes(':id') && !id.startsWith('lmx.'));
    expect(withId.length).toBeGreaterThan(5);
    for (const hostile of HOSTILE) {
      for (const id of withId)
        expect(operation(id).params.safeParse({ id: hostile }).success, `${id} ${JSON.stringify(hostile)}`).toBe(false);
      for (const frame of FRAMES) {
        if (!('sessionId' in frame)) continue;
        expect(
          InboundFrameSchema.safeParse({ ...frame, sessionId: hostile }).success,
          `${frame.type} ${JSON.stringify(hostile)}`,
        ).toBe(false);
      }
      if (hostile === undefined) continue;
      expect(CreateSessionSchema.safeParse({ sessionId: hostile }).success).toBe(false);
      expect(operation('permissions.resolve').params.safeParse({ id: 'a', requestId: hostile }).success).toBe(false);
      expect(InboundFrameSchema.safeParse({ type: 'turn.cancel', sessionId: 'a', turnId: hostile }).success).toBe(
        false,
      );
    }
  });

  test('[AU1] a good frame is taken as it is, and mode of a submit is chat when it is not said', () => {
    for (const frame of FRAMES) expect(InboundFrameSchema.parse(frame)).toEqual(frame);
    expect(new Set(FRAMES.map(({ type }) => type)).size).toBe(InboundFrameSchema.options.length);
    const { mode: _, ...bare } = FRAMES[1];
    expect(InboundFrameSchema.parse(bare)).toEqual({ ...bare, mode: 'chat' });
  });

  test('[AC1] any JSON at all: never a throw, and what is taken is one of the five and stays what it is', () => {
    const type = fc.oneof(fc.constantFrom(...FRAMES.map((f) => f.type)), fc.string());
    const value = fc.oneof({ depthSize: 'small' }, fc.jsonValue(), fc.constantFrom('s', 'allow', 'chat', 3));
    const fields = fc.dictionary(
      fc.constantFrom(
        'sessionId',
        'requestId',
        'clientId',
        'writerId',
        'content',
        'mode',
        'turnId',
        'decision',
        'decidedBy',
        'ackId',
        'afterSeq',
        'features',
        'overrides',
        'metadata',
        '__proto__',
      ),
      value,
    );
    const near = fc.tuple(type, fields).map(([t, f]) => ({ ...f, type: t }));
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(near, fc.jsonValue()), (json) => {
        const parsed = InboundFrameSchema.safeParse(json);
        if (!parsed.success) return;
        taken += 1;
        expect(FRAMES.map((f) => f.type)).toContain(parsed.data.type);
        expect(InboundFrameSchema.parse(parsed.data)).toEqual(parsed.data);
        if ('sessionId' in parsed.data && parsed.data.type !== 'hello')
          expect(parsed.data.sessionId).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
        expect(Object.getPrototypeOf(parsed.data)).toBe(Object.prototype);
      }),
      { numRuns: 1_000 },
    );
    // The property says something only if some frames get through.
    expect(taken).toBeGreaterThan(0);
  });

  test('[AC1] one field spoilt spoils the frame', () => {
    const junk = [{}, [], -1, 1.5, true, 'x'.repeat(300), 'é/..'];
    for (const frame of FRAMES) {
      for (const field of Object.keys(frame)) {
        if (frame.type === 'turn.submit' && field === 'content') continue;
        const refused = junk.filter((value) => !InboundFrameSchema.safeParse({ ...frame, [field]: value }).success);
        // A name may be any short text, metadata any object; nothing may be most of these.
        expect(refused.length, `${frame.type}.${field}`).toBeGreaterThanOrEqual(4);
      }
    }
  });

  test('[CX1] fields that no frame has do not get through', () => {
    for (const frame of FRAMES) {
      const parsed = InboundFrameSchema.parse({ ...frame, ask: 7, admin: true, constructor: 'x' });
      expect(Object.keys(parsed).sort()).toEqual(Object.keys(frame).sort());
    }
    const hostile = JSON.parse('{"type":"ping","__proto__":{"type":"turn.submit"}}');
    expect(InboundFrameSchema.parse(hostile)).toEqual({ type: 'ping' });
    expect(({} as { type?: string }).type).toBeUndefined();
  });

  test('[SV3] what a frame may hold besides its text is bounded', () => {
    const over = [
      { type: 'ping', requestId: 'r'.repeat(129) },
      { type: 'ping', requestId: '' },
      { type: 'hello', clientId: 'c'.repeat(257) },
      { type: 'hello', features: Array.from({ length: 17 }, () => 'x') },
      { ...FRAMES[3], decidedBy: 'd'.repeat(257) },
      { ...FRAMES[3], ackId: 'k'.repeat(129) },
      { ...FRAMES[1], overrides: { model: 'm'.repeat(257) } },
    ];
    for (const frame of over) expect(InboundFrameSchema.safeParse(frame).success, frame.type).toBe(false);
  });
});
