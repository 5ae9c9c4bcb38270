import { type Answered, runOrder, type Subtask, taskOf } from '../domain/delegation.ts';
import type { Clock, ToolJobHandle, Tools } from '../ports.ts';

/**
 * Several tasks that a model hands on at once: child turns one after another, since they share a workspace, so that the result is
 * the same each time ([SA2]). A cancel ends the one that runs, and nothing more is begun.
 */
export const delegatedTasks =
  (clock: Clock, handOn: Tools['start']): Tools['start'] =>
  (run, done) => {
    const { plan, subtasks } = run.args as { plan: string; subtasks: Subtask[] };
    const order = runOrder(subtasks);
    const answers = new Map<number, Answered>();
    const lines: string[] = [];
    let over = false;
    let current: ToolJobHandle | null = null;

    const next = (): void => {
      if (over) return;
      if (typeof order === 'string') return done({ result: `Error (invalid-request): ${order}`, isError: true });
      const at = order[lines.length];
      const subtask = at === undefined ? undefined : subtasks[at];
      if (at === undefined || subtask === undefined)
        return done({
          result: lines.join('\n\n'),
          isError: answers.size < subtasks.length || [...answers.values()].some(({ isError }) => isError),
        });
      const task = taskOf(plan, subtask, answers);
      if (task === null) {
        lines.push(`Task ${at}: left out, since one that it depends on failed.`);
        return next();
      }
      const { mode } = subtask;
      current = handOn({ ...run, args: { task, ...(mode === undefined ? {} : { mode }) } }, ({ result, isError }) => {
        current = null;
        answers.set(at, { text: result, isError });
        lines.push(`Task ${at}: ${result}`);
        next();
      });
    };
    clock.soon(next);
    return {
      kill(dead) {
        over = true;
        if (current === null) clock.soon(dead);
        else current.kill(dead);
      },
    };
  };
