import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** The vectors as `docs/conformance/README.md` describes them. Strict: a misspelt word is an error and not a check that is left out. */
export const NEEDS = ['model', 'observer-token', 'restart'] as const;
export type Need = (typeof NEEDS)[number];

const value = z.json();
/** Whose token goes with a request or a socket. */
const token = z.enum(['writer', 'observer', 'wrong', 'none']).optional();

const HttpStepSchema = z.strictObject({
  http: z.string().regex(/^(?:GET|POST|PATCH|DELETE) \//),
  token,
  headers: z.record(z.string(), z.string()).optional(),
  body: value.optional(),
  status: z.int(),
  answer: value.optional(),
  answerHeaders: value.optional(),
});

const SendStepSchema = z.strictObject({ send: z.string(), frame: z.record(z.string(), value), answer: value });

const StepSchema = z.union([
  HttpStepSchema,
  SendStepSchema,
  z.strictObject({ open: z.string(), token, query: z.record(z.string(), z.union([z.string(), z.number()])) }),
  z.strictObject({ event: z.string(), is: value, without: value.optional() }),
  z.strictObject({ frame: z.string(), is: value }),
  z.strictObject({ closed: z.string(), code: z.int() }),
  z.strictObject({ close: z.string() }),
  z.strictObject({ log: z.string(), where: value.optional(), are: z.array(value) }),
  z.strictObject({
    bytes: z.array(z.string()).min(1),
    session: z.string(),
    afterSeq: z.union([z.int(), z.string()]).optional(),
  }),
  z.strictObject({
    together: z
      .array(z.union([HttpStepSchema.omit({ status: true, answer: true }), SendStepSchema.omit({ answer: true })]))
      .min(2),
    one: value,
    others: value,
  }),
  z.strictObject({ restart: z.literal('kill') }),
]);
export type Step = z.infer<typeof StepSchema>;
export type HttpStep = z.infer<typeof HttpStepSchema>;
export type SendStep = z.infer<typeof SendStepSchema>;

const VectorSchema = z.strictObject({
  name: z.string().min(1),
  needs: z.array(z.enum(NEEDS)).optional(),
  steps: z.array(StepSchema).min(1),
});

const FileSchema = z.strictObject({
  format: z.literal(1),
  rules: z.array(z.string().regex(/^[A-Z]{2}\d{1,2}$/)).min(1),
  title: z.string().min(1),
  needs: z.array(z.enum(NEEDS)).optional(),
  given: z.array(StepSchema).optional(),
  vectors: z.array(VectorSchema).min(1),
});

/** One vector with all that its file says for it. */
export interface Vector {
  /** `WP1 waits behind what is queued`. */
  title: string;
  rules: string[];
  needs: Need[];
  steps: Step[];
}

export const vectorsOf = (text: string): Vector[] => {
  const { rules, needs = [], given = [], vectors } = FileSchema.parse(JSON.parse(text));
  return vectors.map((vector) => ({
    title: `${rules.join(' ')} ${vector.name}`,
    rules,
    needs: [...new Set([...needs, ...(vector.needs ?? [])])],
    steps: [...given, ...vector.steps],
  }));
};

/** Every vector of a folder, files by name. Throws, with the file's name, when one is not in the format. */
export const loadVectors = (folder: string): Vector[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .flatMap((name) => {
      try {
        return vectorsOf(readFileSync(join(folder, name), 'utf8'));
      } catch (cause) {
        throw new Error(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    });
