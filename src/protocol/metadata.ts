import { z } from 'zod';

const METADATA_DEPTH_MAX = 32;

/** What clients attach to a session or a turn. Its depth is bounded, because it is written out again with every record of it. */
export const MetadataSchema = z
  .record(z.string(), z.unknown())
  .refine((value) => depthWithin(value, METADATA_DEPTH_MAX), `metadata is nested deeper than ${METADATA_DEPTH_MAX}`);

/** What is passed on or given back unread: a depth that no program means would break whoever writes it out. */
export const UnreadSchema = z
  .unknown()
  .refine((value) => depthWithin(value, METADATA_DEPTH_MAX), `nested deeper than ${METADATA_DEPTH_MAX}`);

const depthWithin = (value: unknown, depthMax: number): boolean => {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) return false;
    level = level.flatMap((v) => (typeof v === 'object' && v !== null ? Object.values(v) : []));
  }
  return true;
};
