import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRecord, decodeEnvelope, EnvelopeSchema, encodeEnvelope } from '../../src/protocol/envelope.ts';
import {
  ERRORS,
  type ErrorCode,
  errorBody,
  errorRow,
  isErrorCode,
  OptaError,
  toOptaError,
} from '../../src/protocol/errors.ts';
import { EVENTS, isEventName, type LogRecord } from '../../src/protocol/events.ts';
import { ResolvePermissionSchema } from '../../src/protocol/frames.ts';
import {
  DaemonIdSchema,
  RequestIdSchema,
  SessionIdSchema,
  TurnIdSchema,
  WriterIdSchema,
} from '../../src/protocol/ids.ts';
import { COMMON_ERRORS, OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { CreateSessionSchema } from '../../src/protocol/session.ts';
import { SubmitTurnSchema } from '../../src/protocol/turn.ts';
import { GOOD, HOSTILE } from './hostile-ids.ts';
import { anyFact } from './records.ts';

describe('ids', () => {
  const SCHEMAS = { SessionIdSchema, TurnIdSchema, RequestIdSchema, DaemonIdSchema };

  test.each(Object.entries(SCHEMAS))('[AC1] %s takes 1 to 64 of its alphabet and nothing else', (_name, schema) => {
    for (const id of HOSTILE) expect(schema.safeParse(id).success, JSON.stringify(id)).toBe(false);
    for (const id of GOOD) expect(schema.safeParse(id).success, id).toBe(true);
    const near = fc.string({
      unit: fc.oneof(fc.constantFrom('a', 'Z', '9', '-', '_'), fc.constantFrom('.', '/', '\n', 'é', ' ')),
      maxLength: 70,
    });
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (id) => {
        const legal = id.length >= 1 && id.length <= 64 && [...id].every((c) => c <= 'z' && /[A-Za-z0-9_-]/.test(c));
        expect(schema.safeParse(id).success).toBe(legal);
      }),
    );
  });

  test('[CX1] names of writers and clients are 1 to 256 characters of anything', () => {
    for (const name of ['ada', 'Ada Łovelace', '\u{1f600}', 'w'.repeat(256)])
      expect(WriterIdSchema.safeParse(name).success, name).toBe(true);
    for (const name of ['', 'w'.repeat(257), 1, null]) expect(WriterIdSchema.safeParse(name).success).toBe(false);
  });
});

describe('numbers from outside', () => {
  test('[EV2] a cursor in a query is digits and nothing else', () => {
    const { query } = operation('events.read');
    for (const afterSeq of ['0', '7', '00', '999999999999999'])
      expect(query.safeParse({ afterSeq }).success, afterSeq).toBe(true);
    for (const afterSeq of [
      '',
      ' 1',
      '1 ',
      '-1',
      '+1',
      '1e3',
      '0x10',
      '1.0',
      'NaN',
      'Infinity',
      '１',
      '9'.repeat(16),
      '1\n',
      ['1', '2'],
      1,
    ])
      expect(query.safeParse({ afterSeq }).success, JSON.stringify(afterSeq)).toBe(false);
    for (const limit of ['0', '100001']) expect(query.safeParse({ limit }).success).toBe(false);
    for (const limit of ['0', '501']) expect(operation('sessions.list').query.safeParse({ limit }).success).toBe(false);
  });

  test('[TQ6] a lastSeenSeq is a whole number that JSON carries exactly', () => {
    const turn = { clientId: 'c', writerId: 'w', content: 'x', mode: 'chat' };
    for (const lastSeenSeq of [0, 1, Number.MAX_SAFE_INTEGER])
      expect(SubmitTurnSchema.safeParse({ ...turn, lastSeenSeq }).success).toBe(true);
    for (const lastSeenSeq of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null]) {
      expect(SubmitTurnSchema.safeParse({ ...turn, lastSeenSeq }).success, String(lastSeenSeq)).toBe(false);
    }
  });

  test('[PM4] modes, policies and decisions are their words and nothing near them', () => {
    const turn = { clientId: 'c', writerId: 'w', content: 'x', mode: 'chat' };
    const bad = [
      { mode: 'Chat' },
      { mode: 'chat ' },
      { mode: undefined },
      { onBusy: 'drop' },
      { overrides: { auto: 'true' } },
      { overrides: { dangerous: 1 } },
      { overrides: [] },
      { content: '' },
    ];
    for (const change of bad)
      expect(SubmitTurnSchema.safeParse({ ...turn, ...change }).success, JSON.stringify(change)).toBe(false);
    for (const decision of ['Allow', 'yes', true, 'allow\n', '']) {
      expect(ResolvePermissionSchema.safeParse({ requestId: 'p', decision, decidedBy: 'ada' }).success).toBe(false);
    }
  });
});

describe('envelopes', () => {
  const record = fc
    .tuple(anyFact, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.string())
    .map(([fact, seq, ts]) => ({ ...fact, seq, ts }) as LogRecord);

  test('[EV3] a record survives encode and decode, and encoding it again gives the same bytes', () => {
    fc.assert(
      fc.property(record, fc.string(), (r, daemonId) => {
        const text = encodeEnvelope(daemonId, 's', r);
        const { record: back, ...envelope } = decodeEnvelope(text);
        expect(JSON.stringify(back)).toBe(JSON.stringify(r));
        expect(envelope).toMatchObject({ v: '3', daemonId, sessionId: 's', seq: r.seq, event: r.event });
        expect(encodeEnvelope(daemonId, 's', back)).toBe(text);
        expect(Buffer.from(text, 'utf8').toString('utf8')).toBe(text);
        checkRecord(back);
      }),
      { numRuns: 300 },
    );
  });

  test('[EV3] one line, and its keys in the order that the page shows', () => {
    fc.assert(
      fc.property(record, (r) => {
        expect(encodeEnvelope('d', 's', r)).not.toMatch(/[\n\r]/);
      }),
    );
    const text = encodeEnvelope('d', 's', {
      event: 'turn.token',
      payload: { turnId: 't', text: 'x', step: 1 },
      seq: 1,
      ts: 'now',
    });
    expect(text).toBe(
      '{"v":"3","event":"turn.token","daemonId":"d","sessionId":"s","seq":1,"ts":"now","payload":{"turnId":"t","text":"x","step":1}}',
    );
  });

  test('[EV1] what is not an envelope of this version is not taken for one', () => {
    const good = JSON.parse(
      encodeEnvelope('d', 's', {
        event: 'turn.token',
        payload: { turnId: 't', text: 'x', step: 1 },
        seq: 1,
        ts: 'now',
      }),
    );
    expect(() => decodeEnvelope(JSON.stringify(good))).not.toThrow();
    for (const change of [
      { v: '2' },
      { v: 3 },
      { seq: 0 },
      { seq: -1 },
      { seq: 1.5 },
      { seq: '1' },
      { event: 7 },
      { ts: null },
      { daemonId: undefined },
      { payload: undefined },
    ]) {
      expect(() => decodeEnvelope(JSON.stringify({ ...good, ...change })), JSON.stringify(change)).toThrow();
    }
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '"x"',
      '{}',
      '{"type":"heartbeat","event":"heartbeat","sessionId":"s","seq":4,"ts":"now"}',
    ])
      expect(() => decodeEnvelope(text), text).toThrow();
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(EnvelopeSchema.safeParse(JSON.parse(text)).success).toBe(false);
      }),
    );
  });

  test('[EV3] checkRecord refuses what the event table does not have', () => {
    const at = { seq: 1, ts: 'now' };
    const bad = [
      { event: 'turn.token', payload: { turnId: 't', text: 'x' } },
      {
        event: 'turn.error',
        payload: {
          turnId: 't',
          writerId: 'w',
          clientId: 'c',
          message: 'm',
          code: 'c',
          outcome: 'done',
          partial: false,
        },
      },
      { event: 'agent.phase', payload: {} },
      { event: 'toString', payload: {} },
      { event: '__proto__', payload: {} },
    ];
    for (const fact of bad) expect(() => checkRecord({ ...fact, ...at } as unknown as LogRecord), fact.event).toThrow();
    expect(['toString', 'constructor', '__proto__', ''].filter(isEventName)).toEqual([]);
    expect(Object.keys(EVENTS).every(isEventName)).toBe(true);
  });
});

describe('errors', () => {
  const codes = Object.keys(ERRORS) as ErrorCode[];

  test('[AU2] each row is whole: a status of failure, an exit code that is not success, a close code of WebSocket', () => {
    for (const code of codes) {
      const { status, exit, close } = errorRow(code);
      expect(status, code).toBeGreaterThanOrEqual(400);
      expect(status, code).toBeLessThan(600);
      expect(exit, code).toBeGreaterThan(0);
      expect(exit, code).toBeLessThan(256);
      if (close !== undefined)
        expect((close >= 1000 && close < 1016) || (close >= 4000 && close < 5000), code).toBe(true);
    }
    const closes = codes.flatMap((code) => errorRow(code).close ?? []);
    expect(new Set(closes).size).toBe(closes.length);
  });

  test('[AU3] nothing whose outcome is open invites another try', () => {
    for (const code of ['outcome-unknown', 'timeout', 'internal'] as const)
      expect(errorRow(code).retryable, code).toBe(false);
  });

  test('[AU1] the body of an error has its words and facts, and survives JSON', () => {
    const body = errorBody(new OptaError('state-conflict', 'moved', { seq: 4, revision: 3 }));
    expect(JSON.parse(JSON.stringify(body))).toEqual({
      error: 'moved',
      code: 'state-conflict',
      retryable: false,
      seq: 4,
      revision: 3,
    });
    expect(toOptaError('x')).toMatchObject({ code: 'internal', message: 'x' });
    expect(toOptaError(new OptaError('timeout', 'y')).code).toBe('timeout');
    expect(['toString', '__proto__', '', 'Timeout'].filter(isErrorCode)).toEqual([]);
  });

  test('[AU2] operations name errors of the table, and none that every operation has', () => {
    for (const id of OPERATION_IDS) {
      const op = operation(id);
      expect(
        op.errors.filter((code) => !isErrorCode(code)),
        id,
      ).toEqual([]);
      if (!op.open)
        expect(
          op.errors.filter((code) => (COMMON_ERRORS as readonly ErrorCode[]).includes(code)),
          id,
        ).toEqual([]);
    }
  });

  test('[AC1] only the two probes and the way in with a ticket are open, a read is a GET without a body', () => {
    for (const id of OPERATION_IDS) {
      const op = operation(id);
      expect(op.open === true, id).toBe(['health', 'readyz', 'web.key'].includes(id));
      expect(op.method === 'GET', id).toBe(op.safety === 'read');
      expect(op.body === null, id).toBe(op.method === 'GET' || op.method === 'DELETE');
      expect(new Set(op.paths.map((path) => `${op.method} ${path}`)).size).toBe(op.paths.length);
    }
    const routes = OPERATION_IDS.flatMap((id) => operation(id).paths.map((path) => `${operation(id).method} ${path}`));
    expect(new Set(routes).size).toBe(routes.length);
  });

  test('[CR2] a seed keeps its messages in order and drops what is none', () => {
    const call = { id: 'a', type: 'function', function: { name: 'n', arguments: '{}' } };
    const messages = [
      { role: 'system', content: 'x' },
      'junk',
      null,
      { role: 'king', content: 'x' },
      { role: 'user' },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: 'r', tool_call_id: 'a', extra: 1 },
    ];
    expect(CreateSessionSchema.parse({ messages }).messages).toEqual([
      messages[0],
      messages[5],
      { role: 'tool', content: 'r', tool_call_id: 'a' },
    ]);
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (items) => {
        expect(CreateSessionSchema.safeParse({ messages: items }).success).toBe(true);
      }),
    );
  });
});
