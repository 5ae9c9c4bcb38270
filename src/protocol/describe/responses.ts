import { type ErrorCode, errorRow } from '../errors.ts';
import { COMMON_ERRORS, type Operation } from '../operations/operation.ts';
import { ErrorBodySchema, ProblemSchema } from './outbound.ts';
import type { Json, SchemaBook } from './schema-book.ts';

/** Every code that an operation may answer with, by status. A log that cannot be read may fail any that is not open. */
export const failuresOf = (row: Operation): Map<string, ErrorCode[]> => {
  const common = [...COMMON_ERRORS, 'storage' as const].filter(
    (code) => !row.open || (code !== 'unauthorized' && code !== 'storage'),
  );
  const byStatus = new Map<string, ErrorCode[]>();
  const add = (code: ErrorCode, status: number): void => {
    const codes = byStatus.get(String(status)) ?? [];
    byStatus.set(String(status), [...new Set([...codes, code])].sort());
  };
  for (const code of common) add(code, errorRow(code).status);
  for (const code of row.errors) add(code, row.failureStatus ?? errorRow(code).status);
  // A probe that fails for a reason of its own has its one status for that, too.
  if (row.failureStatus) add('internal', row.failureStatus);
  return byStatus;
};

/** Another body that a failure may have, and the statuses under which it comes besides those of the codes. */
export interface Alternative {
  name: string;
  description: string;
  schema: Json;
  ranges: readonly ('4XX' | '5XX')[];
  /** Whether it may come under this status of a code. */
  at(status: string): boolean;
}

/** The failures of one document: each set of codes under one status is one component. */
export class Failures {
  readonly #book: SchemaBook;
  readonly #responses = new Map<string, Json>();

  constructor(book: SchemaBook) {
    this.#book = book;
  }

  of(row: Operation, alternative?: Alternative): Json {
    const failures = [...failuresOf(row)].sort(([a], [b]) => Number(a) - Number(b));
    const known = failures.map(([status, codes]) => [
      status,
      this.#response(status, codes, alternative?.at(status) ? alternative : undefined),
    ]);
    const ranges = alternative?.ranges.map((range) => [range, this.#keep(alternative.name, range, alternative)]) ?? [];
    return Object.fromEntries([...known, ...ranges]);
  }

  /** What another server said, or why it could not be asked: `cause` holds the code of the table. */
  quoted(): Alternative {
    return {
      name: 'quoted',
      description: 'The inference host refuses, in its own words: `cause` holds the code of the table',
      schema: { allOf: [this.#book.of(ErrorBodySchema, 'output'), { type: 'object', required: ['cause'] }] },
      ranges: ['4XX'],
      at: (status) => status.startsWith('4') || status === '502',
    };
  }

  all(): Json {
    return Object.fromEntries([...this.#responses].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #response(status: string, codes: readonly ErrorCode[], alternative?: Alternative): Json {
    const name = [status, ...codes, ...(alternative ? [alternative.name] : [])].join('.');
    const waits = status === '429' || codes.includes('shutting-down');
    const examples = codes.map((code) => [code, { value: exampleOf(code) }]);
    const narrowed = { type: 'object', properties: { code: { enum: codes } } };
    const error = { allOf: [this.#book.of(ErrorBodySchema, 'output'), narrowed] };
    const problem = { allOf: [this.#book.of(ProblemSchema, 'output'), narrowed] };
    return this.#put(name, {
      description: codes.map((code) => `\`${code}\``).join(', ') + (alternative ? `. ${alternative.description}` : ''),
      ...(waits ? { headers: { 'Retry-After': { $ref: '#/components/headers/Retry-After' } } } : {}),
      content: {
        'application/json': {
          schema: alternative ? { anyOf: [error, alternative.schema] } : error,
          examples: Object.fromEntries(examples),
        },
        // A quoted failure is told in this type too, with the code of another server.
        'application/problem+json': {
          schema: alternative ? this.#book.of(ProblemSchema, 'output') : problem,
          example: problemOf(codes[0] as ErrorCode, Number(status)),
        },
      },
    });
  }

  #keep(name: string, range: string, { description, schema }: Alternative): Json {
    return this.#put(`${range}.${name}`, { description, content: { 'application/json': { schema } } });
  }

  #put(name: string, response: Json): Json {
    if (!this.#responses.has(name)) this.#responses.set(name, response);
    return { $ref: `#/components/responses/${name}` };
  }
}

const titleOf = (code: string): string => `${code[0]?.toUpperCase()}${code.slice(1).replaceAll('-', ' ')}`;
const exampleOf = (code: ErrorCode) => ({ error: titleOf(code), code, retryable: errorRow(code).retryable });
const problemOf = (code: ErrorCode, status: number) => {
  const { error, ...facts } = exampleOf(code);
  const members = { type: `urn:opta:error:${code}`, title: error, status, detail: error };
  return { ...members, instance: '/v3/sessions/garden', ...facts };
};
