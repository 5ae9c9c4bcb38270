import { fromCallback } from 'xstate';
import type { ToolGate, ToolRun, Tools } from '../ports.ts';

/**
 * Runs one tool call, behind the gate. `kill` is answered by `job.dead` when nothing of the job is alive; a result that arrives after
 * it is dropped. If the actor is stopped without having been killed (its session crashed), the job is killed all the same.
 */
export const toolEffect = (
  tools: Pick<Tools, 'start'>,
  ofSession: ReadonlyMap<string, Tools['start']>,
  gate?: ToolGate,
) =>
  fromCallback<{ type: 'kill' }, ToolRun>(({ input, sendBack, receive }) => {
    let over = false;
    const start = () =>
      (ofSession.get(input.name) ?? tools.start)(input, (result) => {
        if (over) return;
        over = true;
        gate?.after(input, result);
        sendBack({ type: 'job.done', result });
      });
    let handle = gate
      ? gate.before(input, (refusal) => {
          if (over) return;
          if (refusal === null) {
            handle = start();
            return;
          }
          over = true;
          sendBack({ type: 'job.done', result: refusal });
        })
      : start();
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
