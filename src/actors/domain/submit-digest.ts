import { createHash } from 'node:crypto';
import type { SubmitTurn } from '../../protocol/turn.ts';

/**
 * What a submit asks for, in 22 characters: two submits with one idempotency key are the same request only if these are equal
 * ([TQ5]). The order of members does not count.
 */
export const digestOf = ({ idempotencyKey: _, ...input }: SubmitTurn): string =>
  createHash('sha256').update(canonical(input)).digest('base64url').slice(0, 22);

const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, v]) => v !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`);
  return `{${members.join(',')}}`;
};
