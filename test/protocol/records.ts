import fc from 'fast-check';
import { decodeEnvelope, encodeEnvelope } from '../../src/protocol/envelope.ts';
import {
  EVENTS,
  type EventName,
  type EventPayload,
  type Fact,
  type LogRecord,
  ResolveReasonSchema,
} from '../../src/protocol/events.ts';
import { DecisionSchema, ModeSchema, OnBusySchema } from '../../src/protocol/turn.ts';

/**
 * Any record that the event table allows, from few ids, so that they meet: of turns that run, wait, ended or never were, in any
 * order. A session would not write most of these logs; the fold must survive all of them.
 */
const turnId = fc.constantFrom('t1', 't2', 't3');
const callId = fc.constantFrom('c1', 'c2', 'c3');
const requestId = fc.constantFrom('p1', 'p2', 'c1');
const writerId = fc.constantFrom('ada', 'bob');
const text = fc.string({ unit: 'binary', maxLength: 12 });
const count = fc.nat(100);
const step = fc.integer({ min: 1, max: 4 });
const object = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 });
const ts = fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((d) => d.toISOString());
const mode = fc.constantFrom(...ModeSchema.options);
const usage = fc.record({ promptTokens: count, completionTokens: count });
const authored = { turnId, writerId, clientId: text };

const stats = fc.record({
  tokens: count,
  promptTokens: count,
  completionTokens: count,
  toolCalls: count,
  elapsed: count,
  elapsedMs: count,
  speed: count,
  firstTokenLatencyMs: fc.option(count),
});

/** Optional fields come and go; an absent field is absent and never undefined. */
const some = <T, K extends keyof T & string>(fields: { [F in keyof T]: fc.Arbitrary<T[F]> }, optional: readonly K[]) =>
  fc.record(fields, {
    requiredKeys: Object.keys(fields).filter((name) => !(optional as readonly string[]).includes(name)) as never,
  }) as unknown as fc.Arbitrary<Omit<T, K> & Partial<Pick<T, K>>>;

const snapshot = some(
  {
    sessionId: text,
    model: text,
    title: text,
    createdAt: ts,
    updatedAt: ts,
    queuedTurns: count,
    toolCallCount: count,
    writerCount: count,
    workspace: text,
    metadata: object,
  },
  ['title', 'workspace', 'metadata'],
);
const message = some(
  {
    role: fc.constantFrom('system' as const, 'user' as const, 'assistant' as const),
    content: text,
    tool_call_id: callId,
  },
  ['tool_call_id'],
);

const processId = fc.constantFrom('b1', 'b2', 'b3');
const state = fc.constantFrom(...EVENTS['background.status'].shape.process.shape.state.options);
const aProcess = {
  processId,
  sessionId: text,
  pid: count,
  command: text,
  cwd: text,
  state,
  exitCode: fc.option(count),
  startedAt: ts,
  endedAt: fc.option(ts),
  runtimeMs: count,
  timeoutMs: count,
};

export const payloads: { [N in EventName]: fc.Arbitrary<EventPayload<N>> } = {
  'session.snapshot': fc.record({ snapshot, messages: fc.array(message, { maxLength: 3 }) }) as never,
  'session.updated': fc.record({ snapshot }) as never,
  'session.cancelled': some({ cancelled: count, turnId, writerId }, ['turnId', 'writerId']) as never,
  'turn.queued': some(
    {
      ...authored,
      queueSize: count,
      position: fc.integer({ min: 1, max: 4 }),
      content: text,
      mode,
      onBusy: fc.constantFrom(...OnBusySchema.options),
      overrides: some({ model: fc.constant('m'), auto: fc.boolean() }, ['model', 'auto']),
      metadata: object,
    },
    ['overrides', 'metadata'],
  ) as never,
  'turn.start': fc.record({ ...authored, mode }),
  'turn.progress': some(
    {
      turnId,
      phase: fc.constantFrom('model.request' as const, 'model.response' as const),
      message: fc.option(text),
      provider: fc.option(text),
      step,
      model: text,
      calls: fc.array(fc.record({ id: callId, name: text, args: text }), { maxLength: 4 }),
      usage,
    },
    ['model', 'calls', 'usage'],
  ) as never,
  'context.compacted': fc.record({
    turnId,
    step,
    upTo: count,
    summary: text,
    by: fc.constantFrom('model' as const, 'digest' as const),
    tokensBefore: count,
    tokensAfter: count,
  }),
  'turn.token': fc.record({ turnId, text, step }),
  'turn.thinking': fc.record({ turnId, text, step }),
  'permission.request': some(
    { turnId, requestId, callId, toolName: text, args: object, summary: text, preview: text, expiresAt: ts },
    ['preview'],
  ) as never,
  'permission.resolved': some(
    {
      turnId,
      requestId,
      callId,
      toolName: text,
      decision: fc.constantFrom(...DecisionSchema.options),
      reason: fc.constantFrom(...ResolveReasonSchema.options),
      decidedBy: text,
      message: text,
    },
    ['message'],
  ) as never,
  'tool.start': fc.record({ turnId, id: callId, name: text, args: text, decidedBy: text }),
  'tool.end': some(
    { turnId, id: callId, name: text, result: text, isError: fc.boolean(), truncatedFrom: count, elapsedMs: count },
    ['truncatedFrom'],
  ) as never,
  'files.restored': fc.record({
    ofTurn: turnId,
    how: fc.constantFrom('undo' as const, 'rollback' as const),
    by: text,
    restored: fc.array(text, { maxLength: 3 }),
    kept: fc.array(fc.record({ path: text, why: text }), { maxLength: 2 }),
  }),
  'files.committed': some(
    { ofTurn: turnId, commit: fc.option(text), paths: fc.array(text, { maxLength: 3 }), why: text },
    ['why'],
  ) as never,
  'turn.done': some({ ...authored, stats, outcome: fc.constant('done' as const), model: text }, ['model']) as never,
  'turn.error': some(
    {
      ...authored,
      message: text,
      code: text,
      outcome: fc.constantFrom('error' as const, 'cancelled' as const, 'interrupted' as const),
      partial: fc.boolean(),
      stats,
    },
    ['stats'],
  ) as never,
  'background.status': some(
    {
      process: some({ ...aProcess, label: text }, ['label']),
      reason: fc.constantFrom(...EVENTS['background.status'].shape.reason.options),
      previousState: state,
      signal: fc.constant('SIGTERM'),
      identity: fc.option(text),
    },
    ['previousState', 'signal', 'identity'],
  ) as never,
  'background.output': some(
    {
      processId,
      sessionId: text,
      pid: count,
      seq: fc.integer({ min: 1, max: 600 }),
      ts,
      stream: fc.constantFrom('stdout' as const, 'stderr' as const),
      text,
      truncated: fc.constant(true as const),
      leftOut: count,
    },
    ['truncated', 'leftOut'],
  ) as never,
};

/** The turn's own events come up more often, so that turns get somewhere. */
const names = fc.constantFrom(
  ...(Object.keys(EVENTS) as EventName[]),
  ...(['turn.queued', 'turn.start', 'turn.start', 'turn.progress', 'turn.progress'] as const),
);

export const anyFact: fc.Arbitrary<Fact> = names.chain((event) =>
  payloads[event].map((payload) => ({ event, payload }) as Fact),
);

/** As it comes out of the log: through the text that is stored. */
export const wire = (record: LogRecord): LogRecord => decodeEnvelope(encodeEnvelope('daemon_x', 's', record)).record;

export const number = (facts: readonly Fact[], at = '2026-01-01T00:00:00.000Z'): LogRecord[] =>
  facts.map((fact, i) => wire({ ...fact, seq: i + 1, ts: at }));

export const anyLog: fc.Arbitrary<LogRecord[]> = fc
  .array(fc.tuple(anyFact, ts), { maxLength: 60, size: 'max' })
  .map((items) => items.map(([fact, at], i) => wire({ ...fact, seq: i + 1, ts: at })));
