import { pathToFileURL } from 'node:url';
import type { ChatMessage, FinishReason, GenerateRequest } from '../engine.ts';
import { LmxError } from '../errors.ts';
import { trimTo } from '../trim.ts';
import { type Functions, functionsOf, historyOf } from './llama-cpp-history.ts';
import type { Grammar, Llama, LlamaChat, LlamaLibrary, Model, Sequence } from './llama-cpp-library.ts';
import type { FromChild, ToChild } from './llama-cpp-words.ts';

/** The process that holds one model. It knows no key and no network, and dies with its parent. */
const say = (word: FromChild): void => {
  process.send?.(word);
};

/** Room that is left for an answer at least, in tokens. */
const ANSWER_TOKENS_MIN = 1;
const DEFAULT_TEMPERATURE = 0.7;
/** Of an answer whose caller names no bound: a model that does not know when to stop is stopped. */
const ANSWER_TOKENS_DEFAULT = 4_096;

interface Seat {
  chat: LlamaChat;
  sequence: Sequence;
  busy: boolean;
}

let llama: Llama;
let model: Model;
let contextLength = 0;
let answerTokens = ANSWER_TOKENS_DEFAULT;
const seats: Seat[] = [];
const waiting: (() => void)[] = [];
const cancels = new Map<number, AbortController>();

const load = async (word: ToChild & { say: 'load' }): Promise<void> => {
  const library = (await import(pathToFileURL(word.module).href)) as LlamaLibrary;
  // Nothing is built and nothing is fetched: what is not there as a binary is not there.
  llama = await library.getLlama({
    gpu: word.gpu ? 'auto' : false,
    build: 'never',
    logLevel: 'error',
    maxThreads: word.threads,
    progressLogs: false,
  });
  model = await llama.loadModel({ modelPath: word.file, ...(word.gpu ? {} : { gpuLayers: 0 }) });
  const wanted = word.contextLength ?? Math.min(model.trainContextSize, CONTEXT_DEFAULT);
  const context = await model.createContext({
    contextSize: Math.min(wanted, model.trainContextSize) * word.sequences,
    sequences: word.sequences,
    threads: word.threads,
  });
  for (let i = 0; i < word.sequences; i++) {
    const sequence = context.getSequence();
    seats.push({ sequence, chat: new library.LlamaChat({ contextSequence: sequence }), busy: false });
  }
  answerTokens = word.maxTokens ?? ANSWER_TOKENS_DEFAULT;
  contextLength = seats[0]?.sequence.contextSize ?? 0;
  say({ say: 'loaded', contextLength, memoryBytes: model.size });
};

/** Long contexts take memory whether they are used or not; who needs more says so. */
const CONTEXT_DEFAULT = 8_192;

const seat = async (): Promise<Seat> => {
  for (;;) {
    const free = seats.find((s) => !s.busy);
    if (free) {
      free.busy = true;
      return free;
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
};

const generate = async (id: number, request: GenerateRequest): Promise<void> => {
  const cancel = new AbortController();
  cancels.set(id, cancel);
  const at = await seat();
  try {
    if (cancel.signal.aborted) return say({ say: 'cancelled', id });
    await answer(id, request, at, cancel.signal);
  } catch (cause) {
    if (cancel.signal.aborted) say({ say: 'cancelled', id });
    else if (cause instanceof LmxError) say({ say: 'fail', id, code: cause.code, message: cause.message });
    else say({ say: 'fail', id, code: 'engine_failed', message: `The engine failed: ${messageOf(cause)}` });
  } finally {
    cancels.delete(id);
    at.busy = false;
    waiting.shift()?.();
  }
};

const answer = async (id: number, request: GenerateRequest, at: Seat, signal: AbortSignal): Promise<void> => {
  const functions = request.tools === undefined ? undefined : functionsOf(request.tools);
  const grammar = await grammarOf(request);
  if (functions && grammar)
    throw new LmxError('not_supported', 'This engine takes tools or a response_format, not both.', {
      param: 'response_format',
    });
  if (functions && request.toolChoice !== undefined && request.toolChoice !== 'auto')
    throw new LmxError('not_supported', 'This engine leaves it to the model whether a tool is called.', {
      param: 'tool_choice',
    });
  const context = Math.min(contextLength, request.numCtx ?? contextLength);
  const size = (messages: readonly ChatMessage[]): number => tokensOf(at.chat, messages, functions);
  const fit = fitting(request, context - ANSWER_TOKENS_MIN, size);
  const promptTokens = size(fit.messages);
  const before = at.sequence.tokenMeter.getState();
  const called = new Set<number>();
  const penalties = request.frequencyPenalty !== undefined || request.presencePenalty !== undefined;
  const result = await at.chat.generateResponse(historyOf(fit.messages), {
    signal,
    // The answer never pushes its own prompt out.
    maxTokens: Math.min(request.maxTokens ?? answerTokens, context - promptTokens),
    temperature: request.temperature ?? DEFAULT_TEMPERATURE,
    ...(request.topP === undefined ? {} : { topP: request.topP }),
    ...(request.seed === undefined ? {} : { seed: request.seed }),
    ...(request.stop === undefined ? {} : { customStopTriggers: request.stop }),
    repeatPenalty: penalties
      ? {
          lastTokens: 64,
          penalty: 1,
          frequencyPenalty: request.frequencyPenalty ?? 0,
          presencePenalty: request.presencePenalty ?? 0,
        }
      : false,
    ...(grammar ? { grammar } : {}),
    onResponseChunk: (chunk: { type?: string; segmentType?: string; text: string }) => {
      if (chunk.text === '') return;
      if (chunk.type === 'segment') say({ say: 'reasoning', id, text: chunk.text });
      else say({ say: 'text', id, text: chunk.text });
    },
    ...(functions
      ? {
          functions,
          onFunctionCallParamsChunk: (c: { callIndex: number; functionName: string; paramsChunk: string }) => {
            const first = !called.has(c.callIndex);
            called.add(c.callIndex);
            const index = c.callIndex;
            const head = first ? { id: `call_${process.pid}_${id}_${index}`, name: c.functionName } : {};
            say({ say: 'call', id, delta: { index, ...head, arguments: c.paramsChunk } });
          },
        }
      : {}),
  });
  const completionTokens = at.sequence.tokenMeter.diff(before).usedOutputTokens;
  const finishReason: FinishReason =
    result.metadata.stopReason === 'maxTokens'
      ? 'length'
      : (result.functionCalls?.length ?? 0) > 0
        ? 'tool_calls'
        : 'stop';
  say({ say: 'end', id, finishReason, usage: { promptTokens, completionTokens }, trimmed: fit.left });
};

/** [LG9] What the answer starts from; nothing is left out unless that was asked for. */
const fitting = (request: GenerateRequest, budget: number, size: (messages: readonly ChatMessage[]) => number) => {
  const tokens = size(request.messages);
  if (tokens <= budget) return { messages: request.messages, left: 0 };
  const cut = request.trim ? trimTo(request.messages, budget, size) : null;
  if (cut) return cut;
  throw new LmxError(
    'context_length_exceeded',
    `The prompt has ${tokens} tokens; the context of this model has room for ${budget}.`,
    { param: 'messages' },
  );
};

const tokensOf = (chat: LlamaChat, messages: readonly ChatMessage[], functions: Functions | undefined): number =>
  chat.chatWrapper
    .generateContextState({
      chatHistory: historyOf(messages),
      ...(functions ? { availableFunctions: functions } : {}),
    })
    .contextText.tokenize(model.tokenizer).length;

const grammarOf = async ({ responseFormat }: GenerateRequest): Promise<Grammar | null> => {
  if (responseFormat === undefined || responseFormat.type === 'text') return null;
  try {
    return responseFormat.type === 'json_object'
      ? await llama.getGrammarFor('json')
      : await llama.createGrammarForJsonSchema(responseFormat.json_schema.schema);
  } catch (cause) {
    throw new LmxError('invalid_request', `The schema cannot be made a grammar: ${messageOf(cause)}`, {
      param: 'response_format',
    });
  }
};

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).slice(0, 500);

process.on('message', (word: ToChild) => {
  switch (word.say) {
    case 'load':
      load(word).catch((cause: unknown) => {
        const message = messageOf(cause);
        const code = /memory|VRAM/i.test(message) ? 'insufficient_memory' : 'model_loader_crashed';
        say({ say: 'load-failed', code, message: `The model could not be loaded: ${message}` });
      });
      return;
    case 'generate':
      void generate(word.id, word.request);
      return;
    case 'cancel': {
      const cancel = cancels.get(word.id);
      if (cancel) cancel.abort();
      else say({ say: 'cancelled', id: word.id });
      return;
    }
    case 'ping':
      say({ say: 'pong', n: word.n });
  }
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit(0));
say({ say: 'ready' });
