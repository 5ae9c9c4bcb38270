import type { LmxDone, LmxError } from './errors.ts';

/** Every engine behind `opta lmx serve`. The gateway knows no more of one than this. */
export type EngineKind = 'demo' | 'scripted' | 'upstream' | 'llama-cpp';

/** A message as the caller sent it: OpenAI's shape, already checked, passed on member by member. */
export interface ChatMessage {
  role: string;
  content?: string | readonly ContentPart[] | null;
  name?: string;
  tool_call_id?: string;
  tool_calls?: readonly { id: string; type: 'function'; function: { name: string; arguments: string } }[];
}

export type ContentPart =
  | { type: 'text'; text: string }
  | { type: 'image_url'; image_url: { url: string; detail?: string } };

export interface ToolDefinition {
  type: 'function';
  function: { name: string; description?: string; parameters?: object };
}

export type ToolChoice = 'auto' | 'none' | 'required' | { type: 'function'; function: { name: string } };

export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | { type: 'json_schema'; json_schema: { name?: string; description?: string; schema: object; strict?: boolean } };

/** One request for one answer. A member that is absent is left to the engine. */
export interface GenerateRequest {
  /** As `models` of the engine spells it. */
  model: string;
  messages: readonly ChatMessage[];
  /** Absent when the caller gave none, or said `tool_choice: "none"`. */
  tools?: readonly ToolDefinition[];
  toolChoice?: ToolChoice;
  /** Tokens. The engine clamps it to the space that the prompt leaves. */
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  stop?: readonly string[];
  seed?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  responseFormat?: ResponseFormat;
  /** Tokens of context that the caller wants to use at most. */
  numCtx?: number;
  /** The caller wants the oldest messages left out rather than `context_length_exceeded`. */
  trim?: boolean;
}

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** Tokens, as the engine's own tokenizer counts them. */
export interface TokenUsage {
  promptTokens: number;
  completionTokens: number;
}

/** A piece of a tool call. The first of an `index` has `id` and `name`; the arguments of all of them make one JSON text. */
export interface CallDelta {
  index: number;
  id?: string;
  name?: string;
  arguments: string;
}

/**
 * What an answer is made of, in order. Exactly one of `end` and `fail` comes last, unless the generation was cancelled: then
 * nothing comes. No event is delivered in the stack of `generate`.
 */
export interface GenerateEvents {
  text(delta: string): void;
  reasoning(delta: string): void;
  call(delta: CallDelta): void;
  /** `usage` is null when the engine does not count; `trimmed`: how many messages were left out. */
  end(result: { finishReason: FinishReason; usage: TokenUsage | null; trimmed?: number }): void;
  fail(error: LmxError): void;
}

export interface Generation {
  /** The engine stops its work at once. No event follows. */
  cancel(): void;
  /** Back-pressure: the engine stops and goes on. What was on its way may still come. */
  pause(): void;
  resume(): void;
}

/** A model that the engine could load. */
export interface AvailableModel {
  id: string;
  /** Where its file is; null when the engine has none. */
  path: string | null;
  sizeBytes: number | null;
  /** Milliseconds since 1970; null when not known. */
  modifiedAt: number | null;
}

/** A model that answers. */
export interface LoadedFacts {
  /** Tokens; null when the engine does not say. */
  contextLength: number | null;
  /** What it takes while it is loaded; null when the engine does not say. */
  memoryBytes: number | null;
}

export interface EngineListener {
  /** Models that have come or gone by themselves (an upstream's list). */
  changed?(): void;
  /** The engine lost this model: its process died or hangs. Every generation of it has failed, or fails now. */
  lost(modelId: string, reason: string): void;
}

export interface Engine {
  readonly kind: EngineKind;
  /** False: models come and go by the engine's own means (an upstream): load and unload are answered `not_supported`. */
  readonly manages: boolean;
  /** Answers that it makes at once without one holding up another; the gateway's default for its slots. */
  readonly parallel: number;
  /** Models that could be loaded, loaded ones included. */
  available(done: LmxDone<AvailableModel[] | null>): void;
  /** Called once per model at a time. For an engine that manages nothing: a look whether the model is there. */
  load(modelId: string, options: { contextLength?: number }, done: LmxDone<LoadedFacts | null>): void;
  /** Nothing of it runs any more when this is called. */
  unload(modelId: string, done: LmxDone<null>): void;
  /** Deletes the file of a model that is not loaded; absent where there is none to delete. */
  remove?(modelId: string, done: LmxDone<{ freedBytes: number } | null>): void;
  /** Only for a model whose `load` has succeeded. */
  generate(request: GenerateRequest, on: GenerateEvents): Generation;
  /** Kills what hangs: the process of a model that does not answer its cancel or its load. `lost` follows. */
  kill(modelId: string, reason: string): void;
  listen(listener: EngineListener): void;
  /** Facts for `/admin/status` and `opta lmx status`. Holds no secret. */
  facts(): { [fact: string]: unknown };
  close(done: () => void): void;
}
