import { fromCallback } from 'xstate';
import type { OptaError } from '../../protocol/errors.ts';
import { errorRow } from '../../protocol/errors.ts';
import { type DeltaGate, deltaGate } from '../domain/delta-gate.ts';
import type { Limits } from '../limits.ts';
import type { StreamInput } from '../machines/stream.ts';
import type { StreamEvent } from '../messages.ts';
import type { Inference, InferenceStream } from '../ports.ts';
import type { Journal } from './journal.ts';

/** The gates of the streams that run, for whoever measures them. */
export type Gates = Set<DeltaGate<'text' | 'thinking'>>;

/**
 * One model call, with the gate: while the session has an uncommitted tail, deltas are gathered and then sent as one, because
 * `seq` is given when the session takes them and merging later would be too late. Above `gateCharsMax` the source is paused:
 * a slow disk slows the model down instead of filling memory ([SV3]).
 */
export const inferenceEffect = (inference: Inference, journal: Journal, limits: Limits, gates: Gates) =>
  fromCallback<{ type: 'none' }, StreamInput>(({ input, sendBack }) => {
    const { request, session } = input;
    const { sessionId, turnId, step } = request;
    const gate = deltaGate(limits.tokenCharsMax);
    gates.add(gate);
    const tell = (event: StreamEvent): void => sendBack(event);
    let over = false;
    let waiting = false;
    let paused = false;
    let chars = 0;
    let source: InferenceStream | null = null;

    const cut = (): void => {
      if (gate.size === 0) return;
      for (const { kind, texts } of gate.cut()) session.send({ type: 'delta', turnId, step, kind, texts });
      tell({ type: 'alive' });
    };
    const onDelta = (kind: 'text' | 'thinking', text: string): void => {
      if (over || text === '') return;
      chars += text.length;
      if (chars > limits.stepTextCharsMax) {
        cut();
        finish({
          type: 'fail',
          ...PLAIN_FAIL,
          code: 'budget-exceeded',
          message: 'The model wrote more than one step may hold.',
        });
        source?.cancel();
        return;
      }
      gate.push(kind, text);
      if (!journal.dirty(sessionId)) cut();
      else if (!waiting) {
        waiting = true;
        journal.whenClean(sessionId, onClean);
      }
      if (gate.size > limits.gateCharsMax && !paused) {
        paused = true;
        source?.pause();
      }
    };
    const onClean = (): void => {
      waiting = false;
      if (over) return;
      cut();
      if (paused) {
        paused = false;
        source?.resume();
      }
    };
    const finish = (event: StreamEvent): void => {
      if (over) return;
      over = true;
      tell(event);
    };

    source = inference.stream(request, {
      accepted: ({ model, provider }) => {
        if (!over) tell({ type: 'accepted', model, provider });
      },
      alive: () => {
        if (!over) tell({ type: 'keepalive' });
      },
      text: (delta) => onDelta('text', delta),
      thinking: (delta) => onDelta('thinking', delta),
      end: ({ finishReason, calls, usage }) => {
        if (over) return;
        cut();
        finish({ type: 'end', finishReason, calls, usage: usage ?? null });
      },
      fail: (error) => {
        if (over) return;
        cut();
        finish(failEvent(error, chars > 0));
      },
    });
    return () => {
      gates.delete(gate);
      if (over) return;
      over = true;
      source?.cancel();
    };
  });

const PLAIN_FAIL = { retryable: false, retryAfterMs: null } as const;

/** By the code that OpenAI gave it, else by the words of vLLM, llama.cpp and the like. */
const TOO_LONG =
  /context[ _-]?(?:length|window|size)|maximum context|room for \d+|exceed\w* the (?:available )?context/i;
export const isTooLong = ({ code, facts, message }: OptaError): boolean =>
  code === 'lmx-request-rejected' && (facts.serverCode === 'context_length_exceeded' || TOO_LONG.test(message));

const failEvent = (error: OptaError, emitted: boolean): StreamEvent => {
  const { retryAfterMs } = error.facts;
  return {
    type: 'fail',
    code: error.code,
    message: error.message,
    // Text that people saw is never replaced by another run's.
    retryable: !emitted && errorRow(error.code).retryable,
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : null,
    ...(!emitted && isTooLong(error) ? { tooLong: true } : {}),
  };
};
