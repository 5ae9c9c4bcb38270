import type { InboundFrame } from '../frames.ts';
import { emptySession } from '../session-state.ts';
import type { OutboundFrameName } from './outbound.ts';

interface Note {
  summary: string;
  /** Fields of an example besides those that are required, or in their place. */
  example: object;
}

/** What each command of a socket is for, and the messages of which one answers it. */
export const FRAME_NOTES: {
  readonly [type in InboundFrame['type']]: Note & { answers: readonly OutboundFrameName[] };
} = {
  hello: {
    summary: 'Says more about the client than its URL did; answered when it has a `requestId`',
    example: { requestId: 'h1', role: 'controller', clientId: 'my-tool', features: ['presence'] },
    answers: ['ack.hello', 'error'],
  },
  'turn.submit': {
    summary: 'Submits a turn; answered once it is on disk',
    example: { sessionId: 'garden', requestId: 'r1', clientId: 'my-tool', writerId: 'ada', content: 'read README.md' },
    answers: ['ack.turn.submit', 'error'],
  },
  'turn.cancel': {
    summary: 'Cancels a turn, or the turns of a writer; answered when they have ended',
    example: { sessionId: 'garden', requestId: 'r2', turnId: 'GuxWECHoKOoa' },
    answers: ['ack.turn.cancel', 'error'],
  },
  'permission.resolve': {
    summary: 'Decides a permission request; the first valid decision wins',
    example: {
      sessionId: 'garden',
      requestId: 'perm_GuxWECHoKOoa_1_0',
      decision: 'allow',
      decidedBy: 'ada',
      ackId: 'r3',
    },
    answers: ['ack.permission.resolve', 'error'],
  },
  ping: { summary: 'Asks for a heartbeat', example: { requestId: 'p1' }, answers: ['heartbeat'] },
};

const STATE = {
  ...emptySession('garden'),
  ...{ seq: 1, revision: 1, createdAt: '2026-11-23T14:02:30.004Z', updatedAt: '2026-11-23T14:02:30.004Z' },
};

/** What the frames say that are no events. */
export const MESSAGE_NOTES: { readonly [name in OutboundFrameName]: Note } = {
  'ack.hello': { summary: 'What of a hello counts', example: { requestId: 'h1' } },
  'ack.turn.submit': { summary: 'The turn is on disk', example: { requestId: 'r1' } },
  'ack.turn.cancel': { summary: 'What was hit has ended', example: { requestId: 'r2' } },
  'ack.permission.resolve': { summary: 'The decision counts, or why it does not', example: { requestId: 'r3' } },
  error: {
    summary: 'A command or the attachment failed; the socket stays, unless a close follows',
    example: { error: 'Session not found: garden', code: 'session-not-found', retryable: false },
  },
  heartbeat: { summary: 'The answer to a ping. `seq` is the cursor of the socket', example: { requestId: 'p1' } },
  presence: { summary: 'Who is attached now; for sockets with the feature', example: {} },
  snapshot: {
    summary: 'The session as the fold of its log up to `seq`; for sockets with the feature',
    example: { state: STATE },
  },
};
