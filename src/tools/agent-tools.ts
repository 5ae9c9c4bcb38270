import { z } from 'zod';
import { LIMITS } from '../actors/limits.ts';
import { type Tool, text, tool } from './tool-schema.ts';

/** The tools that hand a task on ([SA1]). */
const TASK_CHARS_MAX = LIMITS.questionCharsMax * 4;

const task = text('The whole task.').min(1).max(TASK_CHARS_MAX);
const mode = z
  .enum(['do', 'plan', 'review', 'research'])
  .optional()
  .describe('plan, review and research only read. Default: as this turn.');

export const AGENT_TOOLS: readonly Tool[] = [
  tool(
    'spawn_agent',
    'delegate',
    'Hands a task on to another agent in this workspace, under the same rules, and waits for its answer. It sees nothing of this conversation: say all that it needs.',
    z.strictObject({
      task,
      mode,
    }),
    (a) => `Hand on${a.mode === undefined ? '' : ` (${a.mode})`}: ${a.task}`,
  ),
  tool(
    'delegate_task',
    'delegate',
    'Hands on several tasks, one after another, each to an agent of its own as spawn_agent does. A task that depends on others is told their answers, and is left out when one of them failed.',
    z.strictObject({
      plan: text('What all of it is for; every agent is told it.').min(1).max(TASK_CHARS_MAX),
      subtasks: z
        .array(
          z.strictObject({
            task,
            mode,
            depends_on: z
              .array(z.int().min(0))
              .max(LIMITS.delegatedTasksMax)
              .optional()
              .describe('Places in the list, from 0.'),
          }),
        )
        .min(1)
        .max(LIMITS.delegatedTasksMax),
    }),
    (a) => `Hand on ${a.subtasks.length} tasks: ${a.plan}`,
  ),
];
