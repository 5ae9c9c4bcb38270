import { LIMITS } from '../actors/limits.ts';
import { OptaError } from '../protocol/errors.ts';
import { OPERATION_IDS, type OperationId, operation } from '../protocol/operations.ts';

export interface Match {
  id: OperationId;
  params: { [name: string]: string };
}

interface Route {
  id: OperationId;
  method: string;
  segments: string[];
}

const ROUTES: readonly Route[] = OPERATION_IDS.flatMap((id) =>
  operation(id).paths.map((path) => ({ id, method: operation(id).method, segments: path.split('/') })),
);

/** Routes by method and number of segments: a request is compared with a handful at most. */
const BY_SHAPE = new Map<string, Route[]>();
for (const r of ROUTES) {
  const shape = `${r.method} ${r.segments.length}`;
  BY_SHAPE.set(shape, [...(BY_SHAPE.get(shape) ?? []), r]);
}

/**
 * The operation of a request, or null when there is none. A trailing slash is another route, as it always was.
 * Throws `invalid-request` for a parameter that is not UTF-8 and `uri-too-long` for one that is too long.
 */
export const route = (method: string, path: string): Match | null => {
  const segments = path.split('/');
  const shape = `${method === 'HEAD' ? 'GET' : method} ${segments.length}`;
  const found = BY_SHAPE.get(shape)?.find((r) => r.segments.every((s, i) => s.startsWith(':') || s === segments[i]));
  if (!found) return null;
  const params: { [name: string]: string } = {};
  found.segments.forEach((s, i) => {
    if (s.startsWith(':')) params[s.slice(1)] = decode(segments[i] as string);
  });
  return { id: found.id, params };
};

const decode = (segment: string): string => {
  if (segment.length > LIMITS.idPathCharsMax) {
    throw new OptaError('uri-too-long', `A path parameter is longer than ${LIMITS.idPathCharsMax} characters`);
  }
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new OptaError('invalid-request', 'A path parameter is not a valid URL component');
  }
};
