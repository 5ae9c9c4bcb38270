import type { CallDelta, FinishReason, GenerateRequest, TokenUsage } from '../engine.ts';
import type { LmxErrorCode } from '../errors.ts';

/** What is said between the engine and the process that holds a model. */
export type ToChild =
  | {
      say: 'load';
      module: string;
      file: string;
      contextLength: number | null;
      threads: number;
      gpu: boolean;
      sequences: number;
      /** Of an answer whose caller names no bound; null: the engine's own. */
      maxTokens: number | null;
    }
  | { say: 'generate'; id: number; request: GenerateRequest }
  | { say: 'cancel'; id: number }
  | { say: 'ping'; n: number };

export type FromChild =
  | { say: 'ready' }
  | { say: 'loaded'; contextLength: number; memoryBytes: number }
  | { say: 'load-failed'; code: LmxErrorCode; message: string }
  | { say: 'text'; id: number; text: string }
  | { say: 'reasoning'; id: number; text: string }
  | { say: 'call'; id: number; delta: CallDelta }
  | { say: 'end'; id: number; finishReason: FinishReason; usage: TokenUsage; trimmed: number }
  | { say: 'fail'; id: number; code: LmxErrorCode; message: string }
  /** The answer that was cancelled is over, whatever it came to. */
  | { say: 'cancelled'; id: number }
  | { say: 'pong'; n: number };
