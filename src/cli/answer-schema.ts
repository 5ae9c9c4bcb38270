import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { OptaError } from '../protocol/errors.ts';
import { UsageError } from './exit.ts';

/** A JSON Schema that an answer has to obey: the model is asked for it, and what it says is checked. */
export interface AnswerSchema {
  /** What is put below the task. */
  request: string;
  /** The value of an answer. Throws `schema-mismatch` that says what is wrong with it. */
  read(text: string): unknown;
}

const SCHEMA_BYTES_MAX = 256 << 10;
const ISSUES_MAX = 20;

/** From a file, or, when it begins like an object, from the text itself. Whatever is wrong with it is a usage error. */
export const loadAnswerSchema = async (given: string, cwd: string): Promise<AnswerSchema> => {
  const inline = given.trimStart().startsWith('{');
  const where = inline ? '--json-schema' : resolve(cwd, given);
  const schema = parsed(inline ? given : readSmall(where), where);
  const validate = await compiled(schema, where);
  return {
    request: [
      'Answer with one JSON value and nothing else: no words around it and no code fence.',
      'It has to be valid against this JSON Schema:',
      JSON.stringify(schema),
    ].join('\n'),
    read: (text) => {
      const value = answered(text);
      if (!validate(value)) throw mismatch(text, validate.errors ?? []);
      return value;
    },
  };
};

const readSmall = (file: string): string => {
  try {
    if (statSync(file).size > SCHEMA_BYTES_MAX)
      throw new UsageError(`${file} is larger than ${SCHEMA_BYTES_MAX >> 10} KiB`);
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`Cannot read the JSON Schema ${file}: ${(cause as NodeJS.ErrnoException).code}`);
  }
};

const parsed = (text: string, where: string): object => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    throw new UsageError(`${where} is not JSON: ${(cause as Error).message}`);
  }
  throw new UsageError(`${where} is not a JSON Schema: it has to be an object`);
};

/** Draft 2020-12 and 2019-09 where the schema names them, else draft-07. `format` is a note to the reader, as in 2020-12. */
const compiled = async (schema: object, where: string): Promise<ValidateFunction> => {
  const named = String((schema as { $schema?: unknown }).$schema ?? '');
  const options = { strict: false, allErrors: true, validateFormats: false, logger: false } as const;
  const ajv = /20(19-09|20-12)/.test(named)
    ? new (await import('ajv/dist/2020.js')).Ajv2020(options)
    : new (await import('ajv')).Ajv(options);
  try {
    return ajv.compile(schema);
  } catch (cause) {
    throw new UsageError(`${where} is not a JSON Schema: ${(cause as Error).message}`);
  }
};

const answered = (text: string): unknown => {
  try {
    return JSON.parse(unfenced(text.trim()));
  } catch {
    throw new OptaError('schema-mismatch', 'The answer is not JSON', { answer: text, issues: [] });
  }
};

/** Models put a fence around JSON even when told not to; what stands in one that is the whole answer is the answer. */
const unfenced = (text: string): string => {
  const head = text.indexOf('\n');
  if (head < 0 || !text.endsWith('\n```') || !/^```(?:json)?$/i.test(text.slice(0, Math.min(head, 32)).trimEnd()))
    return text;
  return text.slice(head + 1, -'\n```'.length);
};

const mismatch = (answer: string, errors: readonly ErrorObject[]): OptaError => {
  const issues = errors.slice(0, ISSUES_MAX).map(({ instancePath, message = 'is wrong', params }) => ({
    path: instancePath,
    message: 'additionalProperty' in params ? `${message}: ${params.additionalProperty}` : message,
  }));
  const [first] = issues;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const what = `${first?.path || 'the whole'} ${first?.message ?? ''}`;
  return new OptaError('schema-mismatch', `The answer does not match the schema: ${what}${more}`, { answer, issues });
};
