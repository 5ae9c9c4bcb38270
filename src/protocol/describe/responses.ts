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
  statuses: readonly string[];
}

const QUOTED = 'quoted';

/** `4XX` is every status that begins with 4. */
const isAt = ({ statuses }: Alternative, status: string): boolean =>
  statuses.some((s) => s === status || s === `${status[0]}XX`);

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
      this.#response(status, codes, alternative && isAt(alternative, status) ? alternative : undefined),
    ]);
    const taken = new Set(failures.map(([status]) => status));
    const further = (alternative?.statuses ?? []).filter((status) => !taken.has(status));
    const alone = further.map((status) => [status, this.#alone(status, alternative as Alternative)]);
    return Object.fromEntries([...known, ...alone]);
  }

  /** Any code under these statuses. */
  quoted(statuses: readonly string[]): Alternative {
    const description = 'Or in the words of another server: `cause` holds the code of the table when `code` does not';
    return { name: QUOTED, description, schema: this.#book.of(ErrorBodySchema, 'output'), statuses };
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
        'application/problem+json': {
          schema: alternative ? this.#book.of(ProblemSchema, 'output') : problem,
          example: problemOf(codes[0] as ErrorCode, Number(status)),
        },
      },
    });
  }

  #alone(status: string, { name, description, schema }: Alternative): Json {
    const problem = { 'application/problem+json': { schema: this.#book.of(ProblemSchema, 'output') } };
    const content = { 'application/json': { schema }, ...(name === QUOTED ? problem : {}) };
    return this.#put(`${status}.${name}`, { description, content });
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
