import { type ErrorBody, errorBody, OptaError } from '../protocol/errors.ts';
import { type InboundFrame, InboundFrameSchema } from '../protocol/frames.ts';
import type { Answer, Dispatch, RawInput } from './dispatch.ts';

/** A frame that asks for something and gets exactly one answer: an ack or an error. */
export type CommandFrame = Exclude<InboundFrame, { type: 'hello' | 'ping' }>;

/** Parses an inbound message. Throws `invalid-json` or `invalid-request`; `echo` is set when the sender can be told which frame it was. */
export const parseFrame = (text: string | null): InboundFrame => {
  if (text === null) {
    throw new OptaError('invalid-request', 'Invalid WS payload', {
      details: [{ message: 'Binary frames are not accepted' }],
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new OptaError('invalid-json', 'Invalid JSON payload');
  }
  const parsed = InboundFrameSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new OptaError('invalid-request', 'Invalid WS payload', { details: parsed.error.issues, ...echoOf(json) });
};

/** The id that the answer to a frame repeats; a permission frame's own `requestId` names the permission request. */
export const echoOf = (json: unknown): { requestId?: string } => {
  const frame = (json ?? {}) as { type?: unknown; requestId?: unknown; ackId?: unknown };
  const id = frame.type === 'permission.resolve' ? frame.ackId : frame.requestId;
  return typeof id === 'string' && id.length > 0 && id.length <= 128 ? { requestId: id } : {};
};

/** Runs a command through the same door as HTTP and says what the socket answers. Never throws. */
export const runCommand = async (dispatch: Dispatch, frame: CommandFrame): Promise<object> => {
  const echo = echoOf(frame);
  const raw = ({ sessionId, ...body }: CommandFrame): RawInput => ({ params: { id: sessionId }, query: {}, body });
  switch (frame.type) {
    case 'turn.submit': {
      const outcome = await dispatch('turns.submit', raw(frame));
      if (!outcome.ok) return { ...errorBody(outcome.error), ...echo };
      return { type: 'ack', action: frame.type, ...bodyOf(outcome.answer), ...echo };
    }
    case 'turn.cancel': {
      const outcome = await dispatch('turns.cancel', raw(frame));
      if (!outcome.ok && outcome.error.code !== 'session-not-found') return { ...errorBody(outcome.error), ...echo };
      // A session that is not there has nothing to cancel; existing clients get zeros and not an error.
      const { cancelledQueued, cancelledActive, cancelledCalls } = outcome.ok
        ? bodyOf(outcome.answer)
        : { cancelledQueued: 0, cancelledActive: false, cancelledCalls: undefined };
      const calls = cancelledCalls === undefined ? {} : { cancelledCalls };
      return { type: 'ack', action: frame.type, cancelled: { cancelledQueued, cancelledActive, ...calls }, ...echo };
    }
    case 'permission.resolve': {
      const outcome = await dispatch('permissions.resolve', raw(frame));
      const result = outcome.ok ? bodyOf(outcome.answer) : refusal(errorBody(outcome.error));
      return { type: 'ack', action: frame.type, result, ...echo };
    }
  }
};

/** A refused decision is an ack like an accepted one: older clients wait for nothing else. */
const refusal = (body: ErrorBody): object => ({ ok: false, conflict: false, message: body.error, ...body });

/** The commands of a socket answer with one value. */
const bodyOf = <T>(answer: Answer<T>): T => {
  if ('body' in answer) return answer.body;
  throw new OptaError('internal', 'A command of a socket was answered with something that is not a value');
};
