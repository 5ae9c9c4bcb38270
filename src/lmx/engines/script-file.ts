import { z } from 'zod';
import { OptaError } from '../../protocol/errors.ts';
import type { GenerateRequest } from '../engine.ts';
import type { ScriptedModel, Step } from './scripted.ts';

/**
 * What `--script FILE` holds: models, and answers by what the last message of the user contains. The first that fits is taken; an
 * answer with `repeat` says its steps so many times, `{i}` in a text being the count.
 */
const ms = z.number().min(0).max(600_000);
const CallSchema = z.strictObject({
  index: z.int().min(0).max(63),
  id: z.string().optional(),
  name: z.string().optional(),
  arguments: z.string(),
});
const StepSchema = z.union([
  z.strictObject({ afterMs: ms.optional(), text: z.string() }),
  z.strictObject({ afterMs: ms.optional(), reasoning: z.string() }),
  z.strictObject({ afterMs: ms.optional(), call: CallSchema }),
  z.strictObject({ afterMs: ms.optional(), crash: z.string() }),
  z.strictObject({ afterMs: ms.optional(), stall: z.literal(true) }),
]);
const ScriptSchema = z.strictObject({
  models: z
    .array(
      z.strictObject({
        id: z.string().min(1),
        contextLength: z.int().positive().optional(),
        cold: z.boolean().optional(),
      }),
    )
    .min(1)
    .max(64),
  answers: z
    .array(
      z.strictObject({
        when: z.string().optional(),
        repeat: z.int().min(1).max(1_000_000).optional(),
        steps: z.array(StepSchema).max(10_000),
      }),
    )
    .min(1)
    .max(1_000),
});

export interface ScriptFile {
  models: ScriptedModel[];
  script(request: GenerateRequest): Iterable<Step>;
}

/** Throws `invalid-request` with the place of the first fault. */
export const readScript = (text: string): ScriptFile => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OptaError('invalid-request', `The script is not JSON: ${(cause as Error).message}`);
  }
  const read = ScriptSchema.safeParse(json);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new OptaError(
      'invalid-request',
      `The script is not right at ${issue?.path.join('.') || 'its top'}: ${issue?.message}`,
    );
  }
  const { answers } = read.data;
  const models = read.data.models.map(({ id, contextLength, cold }) => ({
    id,
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(cold === undefined ? {} : { cold }),
  }));
  return {
    models,
    *script(request) {
      const said = textOf(request.messages.findLast((m) => m.role === 'user')?.content);
      const answer = answers.find((a) => a.when === undefined || said.includes(a.when));
      for (let i = 1; i <= (answer?.repeat ?? 1); i++)
        for (const step of answer?.steps ?? [])
          yield ('text' in step ? { ...step, text: step.text.replaceAll('{i}', String(i)) } : step) as Step;
    },
  };
};

const textOf = (content: GenerateRequest['messages'][number]['content']): string =>
  typeof content === 'string' ? content : (content ?? []).map((p) => (p.type === 'text' ? p.text : '')).join('\n');
