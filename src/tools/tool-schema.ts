import { z } from 'zod';
import { LIMITS } from '../actors/limits.ts';
import type { ToolClass } from '../actors/ports.ts';
import type { ToolName } from './jobs.ts';

/** The table of tools: everything that the model, the policy and people are told about one. */
export interface Tool {
  name: ToolName | typeof ASK_USER | typeof RUN_COMMAND | SessionTool;
  toolClass: ToolClass;
  description: string;
  schema: z.ZodObject;
  summary(args: { [key: string]: unknown }): string;
}

/** The one tool that is no job: people are its answer ([PM7]). */
export const ASK_USER = 'ask_user';
/** They are commands to the session, and run in it. */
type SessionTool = 'bg_start' | 'bg_status' | 'bg_output' | 'bg_kill' | 'spawn_agent' | 'delegate_task';
/** It runs beside the tool processes, as a process of its own. */
export const RUN_COMMAND = 'run_command';

/** A half of a surrogate pair has no bytes: it would be written as something else than what was asked for. */
export const text = (what: string) =>
  z
    .string()
    .refine((s) => !/\p{Surrogate}/u.test(s), 'contains half of a surrogate pair')
    .describe(what);
export const path = (what: string) =>
  text(what)
    .min(1)
    .max(LIMITS.toolPathBytesMax)
    .refine((s) => !s.includes('\0'), 'contains a NUL character');
export const folder = path('Folder, relative to the workspace. Default: the workspace itself.').optional();

export const tool = <S extends z.ZodObject>(
  name: Tool['name'],
  toolClass: ToolClass,
  description: string,
  schema: S,
  summary: (args: z.infer<S>) => string,
): Tool => ({ name, toolClass, description, schema, summary: (args) => summary(args as z.infer<S>) });
