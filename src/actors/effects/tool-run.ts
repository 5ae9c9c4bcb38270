import { fromCallback } from 'xstate';
import type { ToolRun, Tools } from '../ports.ts';

/**
 * Runs one tool call. `kill` is answered by `job.dead` when nothing of the job is alive; a result that arrives after it is
 * dropped. If the actor is stopped without having been killed (its session crashed), the job is killed all the same.
 */
export const toolEffect = (tools: Pick<Tools, 'start'>, ofSession: ReadonlyMap<string, Tools['start']>) =>
  fromCallback<{ type: 'kill' }, ToolRun>(({ input, sendBack, receive }) => {
    let over = false;
    const handle = (ofSession.get(input.name) ?? tools.start)(input, (result) => {
      if (over) return;
      over = true;
      sendBack({ type: 'job.done', result });
    });
    receive(() => {
      if (over) return;
      over = true;
      handle.kill(() => sendBack({ type: 'job.dead' }));
    });
    return () => {
      if (over) return;
      over = true;
      handle.kill(() => undefined);
    };
  });
