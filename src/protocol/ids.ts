import { z } from 'zod';

/**
 * Branded ids. An id is checked once, where it enters; after that the brand says so.
 * The alphabet is safe in paths, URLs and storage keys, so `../../x` is never an id.
 */
const ID = /^[A-Za-z0-9_-]{1,64}$/;

const id = <B extends string>(name: B) => z.string().regex(ID, `${name} must be 1-64 of A-Z a-z 0-9 _ -`).brand<B>();

export const SessionIdSchema = id('SessionId');
export const TurnIdSchema = id('TurnId');
export const RequestIdSchema = id('RequestId');
export const DaemonIdSchema = id('DaemonId');
/** Writers and clients name themselves; existing clients send arbitrary non-empty text. */
export const WriterIdSchema = z.string().min(1).max(256).brand<'WriterId'>();
export const ClientIdSchema = z.string().min(1).max(256).brand<'ClientId'>();
/** Call ids come from the model's server. */
export const CallIdSchema = z.string().min(1).max(256).brand<'CallId'>();

export type SessionId = z.infer<typeof SessionIdSchema>;
export type TurnId = z.infer<typeof TurnIdSchema>;
export type RequestId = z.infer<typeof RequestIdSchema>;
export type DaemonId = z.infer<typeof DaemonIdSchema>;
export type WriterId = z.infer<typeof WriterIdSchema>;
export type ClientId = z.infer<typeof ClientIdSchema>;
export type CallId = z.infer<typeof CallIdSchema>;
