import { z } from 'zod';
import type { ChatMessage, GenerateRequest, ToolChoice, ToolDefinition } from '../engine.ts';
import { LmxError } from '../errors.ts';

/**
 * What a request for an answer may hold, on HTTP and on a socket alike. Members that nobody here knows are passed over, as every
 * server of this kind does; those that are known and not honoured are refused, so that nobody believes that they were.
 */
const PartSchema = z.union([
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({
    type: z.literal('image_url'),
    image_url: z.object({ url: z.string(), detail: z.string().optional() }),
  }),
]);
const CallSchema = z.object({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});
const MessageSchema = z.object({
  role: z.string().min(1).max(32),
  content: z.union([z.string(), z.array(PartSchema), z.null()]).optional(),
  name: z.string().max(128).optional(),
  tool_call_id: z.string().optional(),
  tool_calls: z
    .array(CallSchema)
    .nullish()
    .transform((calls) => calls ?? undefined),
});
const ToolSchema = z.object({
  type: z.literal('function'),
  function: z.object({
    name: z.string().min(1).max(128),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
  }),
});
const ChoiceSchema = z.union([
  z.enum(['auto', 'none', 'required']),
  z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
]);
const FormatSchema = z.union([
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: z.string().optional(),
      description: z.string().optional(),
      schema: z.record(z.string(), z.unknown()),
      strict: z
        .boolean()
        .nullish()
        .transform((strict) => strict ?? undefined),
    }),
  }),
]);

export const ChatSchema = z.object({
  model: z.string().max(512).default(''),
  messages: z.array(MessageSchema).min(1).max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(16)]).nullish(),
  seed: z.int().nullish(),
  n: z.int().min(1).max(16).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  tools: z.array(ToolSchema).max(512).nullish(),
  tool_choice: ChoiceSchema.nullish(),
  response_format: FormatSchema.nullish(),
  num_ctx: z.int().min(512).max(1_048_576).nullish(),
  /** Ours: leave the oldest messages out rather than refuse. */
  trim: z.boolean().nullish(),
  user: z.string().nullish(),
});

export type ChatBody = z.infer<typeof ChatSchema>;

/** Throws `invalid_request` with the first member that is wrong. */
export const readChat = (value: unknown): ChatBody => {
  const read = ChatSchema.safeParse(value);
  if (read.success) {
    if ((read.data.n ?? 1) > 1)
      throw new LmxError('not_supported', 'One answer is made for each request: n is 1 here.', { param: 'n' });
    return read.data;
  }
  const [issue] = read.error.issues;
  const param = issue?.path.join('.') ?? '';
  throw new LmxError(
    'invalid_request',
    `${param === '' ? 'The request' : param}: ${issue?.message ?? 'is not right'}`,
    {
      ...(param === '' ? {} : { param }),
    },
  );
};

/** The request as an engine takes it, for the model that its name was found to mean. */
export const generateRequest = (body: ChatBody, model: string): GenerateRequest => {
  const { tool_choice: choice, tools, stop } = body;
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  const offered = choice === 'none' || !tools || tools.length === 0 ? undefined : (tools as ToolDefinition[]);
  return {
    model,
    messages: body.messages as ChatMessage[],
    ...given('tools', offered),
    ...given('toolChoice', offered === undefined ? undefined : (choice as ToolChoice | null | undefined)),
    ...given('maxTokens', maxTokens),
    ...given('temperature', body.temperature),
    ...given('topP', body.top_p),
    ...given('stop', typeof stop === 'string' ? [stop] : stop),
    ...given('seed', body.seed),
    ...given('frequencyPenalty', body.frequency_penalty),
    ...given('presencePenalty', body.presence_penalty),
    ...given('responseFormat', body.response_format as GenerateRequest['responseFormat'] | null | undefined),
    ...given('numCtx', body.num_ctx),
    ...(body.trim ? { trim: true } : {}),
  };
};

const given = <K extends keyof GenerateRequest>(
  name: K,
  value: GenerateRequest[K] | null | undefined,
): { [name in K]?: GenerateRequest[K] } =>
  value === null || value === undefined ? {} : ({ [name]: value } as { [name in K]: GenerateRequest[K] });
