import { z } from 'zod';
import { type Operation, read } from './operation.ts';

const described = {
  ...read,
  query: z.object({ ifNoneMatch: z.string().max(1_024).optional() }),
  headers: { 'if-none-match': 'ifNoneMatch' },
} as const;

/** This contract, for programs. */
export const API_OPERATIONS = {
  'api.openapi': {
    ...described,
    summary: 'The control plane as OpenAPI 3.1; 304 when the `ETag` is known',
    paths: ['/v3/openapi.json'],
    response: z.looseObject({ openapi: z.string() }),
  },
  'api.asyncapi': {
    ...described,
    summary: 'The event plane as AsyncAPI 3.0; 304 when the `ETag` is known',
    paths: ['/v3/asyncapi.json'],
    response: z.looseObject({ asyncapi: z.string() }),
  },
} as const satisfies Record<string, Operation>;
