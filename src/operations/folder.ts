import { isAbsolute } from 'node:path';
import { z } from 'zod';

/** No name of a file holds the character 0, and no program can be told of one that does. */
export const isWholePath = (path: string): boolean => isAbsolute(path) && !path.includes('\0');

/** A folder as an operation takes it: the daemon has no working folder that a caller could mean. */
export const FolderSchema = z.string().refine(isWholePath, 'must be a whole path');
