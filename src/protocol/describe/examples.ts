import type { EventName } from '../events.ts';
import type { OperationId } from '../operations.ts';

/** Bodies of requests that say more than what is required. An operation without one gets what its schema requires. */
export const BODIES: { readonly [id in OperationId]?: unknown } = {
  'sessions.create': { sessionId: 'garden', title: 'Beans', metadata: { workspace: '/home/ada/garden' } },
  'sessions.patch': { title: 'Beans and peas', onBusy: 'enqueue' },
  'sessions.fork': { atSeq: 1, sessionId: 'garden-2' },
  'turns.submit': { clientId: 'my-tool', writerId: 'ada', mode: 'chat', content: 'read README.md', lastSeenSeq: 1 },
  'turns.cancel': { turnId: 'GuxWECHoKOoa', callId: 'call_1', cancelledBy: 'ada' },
  'queue.edit': { writerId: 'ada', content: 'read README.md and CHANGES.md', before: null },
  'permissions.resolve': {
    requestId: 'perm_GuxWECHoKOoa_1_0',
    decision: 'allow',
    decidedBy: 'ada',
    remember: 'session',
  },
  'background.start': { sessionId: 'garden', command: 'tail -f build.log', label: 'build', timeoutMs: 60_000 },
  'background.kill': { signal: 'SIGTERM' },
  'lmx.load': { modelId: 'org/model', autoDownload: false },
  'lmx.confirm': { confirmationToken: 'c0ffee' },
  'lmx.unload': { modelId: 'org/model' },
  'lmx.download': { repoId: 'org/model', revision: 'main' },
  'lmx.embeddings': { input: ['beans', 'peas'], model: 'org/model' },
  'lmx.rerank': { query: 'what climbs?', documents: ['beans climb', 'kale stands'], model: 'org/model', topN: 1 },
  'legacy.chat': { message: 'read README.md' },
  'bridge.connect': { deviceId: 'desk' },
  'bridge.disconnect': { reason: 'not wanted' },
  'device.execute': { operationId: 'sessions.delete', input: { id: 'garden-2' } },
  'operations.run': { input: { id: 'garden-2' } },
};

const turnId = 'GuxWECHoKOoa';
const who = { turnId, writerId: 'ada', clientId: 'my-tool' };
const asked = { turnId, requestId: 'perm_GuxWECHoKOoa_1_0', callId: 'call_1', toolName: 'write_file' };
const stats = {
  tokens: 9,
  promptTokens: 293,
  completionTokens: 9,
  toolCalls: 1,
  elapsed: 0.216,
  elapsedMs: 216,
  speed: 41.7,
  firstTokenLatencyMs: 40,
};
const snapshot = {
  sessionId: 'garden',
  model: 'org/model',
  title: 'Beans',
  createdAt: '2026-11-23T14:02:30.004Z',
  updatedAt: '2026-11-23T14:02:30.004Z',
  queuedTurns: 0,
  toolCallCount: 0,
  writerCount: 0,
};

/** What an event says, and a payload of it. */
export const EVENT_NOTES: { readonly [name in EventName]: readonly [summary: string, payload: object] } = {
  'session.snapshot': ['The session was made. Always the first event, and only that', { snapshot, messages: [] }],
  'session.updated': [
    'A turn is done; with `change`, the session or a waiting turn was changed',
    { snapshot: { ...snapshot, title: 'Peas' }, change: { kind: 'settings', title: 'Peas' } },
  ],
  'session.cancelled': ['A cancel was accepted; the end of each turn that it hit follows', { cancelled: 1, turnId }],
  'turn.queued': [
    'A turn was accepted',
    { ...who, queueSize: 1, position: 1, content: 'read README.md', mode: 'chat', onBusy: 'enqueue' },
  ],
  'turn.start': ['A turn begins to run', { ...who, mode: 'chat' }],
  'turn.progress': [
    'The model was asked, or answered with tool calls',
    { turnId, phase: 'model.request', message: null, provider: 'lmx', step: 1, model: 'org/model' },
  ],
  'context.compacted': [
    'From now on the model is sent a summary in place of the oldest messages',
    { turnId, step: 4, upTo: 12, summary: 'The user wants …', by: 'model', tokensBefore: 24_000, tokensAfter: 9_000 },
  ],
  'turn.token': ['The next piece of the answer', { turnId, text: 'Beans want warmth.', step: 1 }],
  'turn.thinking': ['The next piece of what the model thinks', { turnId, text: 'What do beans want?', step: 1 }],
  'permission.request': [
    'A tool call waits for a decision, until `expiresAt`',
    {
      ...asked,
      args: { path: 'note.md', content: 'water the beans' },
      summary: 'Write 15 bytes to note.md',
      expiresAt: '2026-11-23T14:04:32.101Z',
    },
  ],
  'permission.resolved': [
    'It was decided, by a person, a rule or the daemon',
    { ...asked, decision: 'allow', reason: 'person', decidedBy: 'person:ada' },
  ],
  'tool.start': [
    'A tool call was allowed and runs',
    { turnId, id: 'call_1', name: 'write_file', args: '{"path":"note.md"}', decidedBy: 'person:ada' },
  ],
  'tool.end': [
    'A tool call has ended',
    { turnId, id: 'call_1', name: 'write_file', result: 'Created note.md', isError: false, elapsedMs: 42 },
  ],
  'turn.done': ['The turn has its answer. Terminal', { ...who, stats, outcome: 'done', model: 'org/model' }],
  'turn.error': [
    'The turn failed, was cancelled or was interrupted. Terminal',
    { ...who, message: 'Turn cancelled', code: 'cancelled', outcome: 'cancelled', partial: true },
  ],
  'files.restored': [
    'What a turn did to files was taken back, as far as nobody changed them since',
    { ofTurn: turnId, how: 'undo', by: 'ada', restored: ['note.md'], kept: [] },
  ],
  'files.committed': [
    'What a turn did to files was committed, as git.autoCommit asks for, or was not',
    { ofTurn: turnId, commit: '3f1c2ab', paths: ['note.md'] },
  ],
  'background.status': [
    'A background process began or ended',
    {
      process: {
        processId: 'bg_Xa81kQ',
        sessionId: 'garden',
        pid: 4711,
        command: 'tail -f build.log',
        cwd: '/home/ada/garden',
        state: 'running',
        exitCode: null,
        startedAt: '2026-11-23T14:02:31.000Z',
        endedAt: null,
        runtimeMs: 0,
        timeoutMs: 300_000,
      },
      reason: 'started',
      identity: null,
    },
  ],
  'background.output': [
    'A background process wrote something',
    {
      processId: 'bg_Xa81kQ',
      sessionId: 'garden',
      pid: 4711,
      seq: 1,
      ts: '2026-11-23T14:02:32.101Z',
      stream: 'stdout',
      text: 'built in 2 s\n',
    },
  ],
};

/** Likewise of answers. */
export const ANSWERS: { readonly [id in OperationId]?: unknown } = {
  'events.read': {
    events: [
      {
        v: '3',
        event: 'turn.token',
        daemonId: 'daemon_ut3HRukv',
        sessionId: 'garden',
        seq: 5,
        ts: '2026-11-23T14:02:32.101Z',
        payload: EVENT_NOTES['turn.token'][1],
      },
    ],
  },
  'operations.list': {
    operations: [{ id: 'sessions.delete', title: 'Delete a session', description: 'Puts it away', safety: 'write' }],
  },
  'operations.run': { ok: true, id: 'sessions.delete', safety: 'write', result: { id: 'garden-2' } },
  'api.openapi': { openapi: '3.1.1' },
  'api.asyncapi': { asyncapi: '3.0.0' },
};
