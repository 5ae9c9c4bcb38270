import { fromCallback } from 'xstate';
import type { RestoreInput } from '../machines/session-undo.ts';
import type { RestoreOutcome, RestoreReport } from '../messages.ts';
import type { Restored, Tools } from '../ports.ts';

/** Takes changes of files back, in a tool process as any work on files. It answers once, whatever becomes of that. */
export const restoreEffect = (tools: Pick<Tools, 'start'>) =>
  fromCallback<{ type: 'none' }, RestoreInput>(({ input: { run, changes }, sendBack }) => {
    let over = false;
    const tell = (outcome: RestoreOutcome): void => {
      if (over) return;
      over = true;
      sendBack({ type: 'restore.done', outcome } satisfies RestoreReport);
    };
    const failed = (why: string): void => tell({ restored: [], kept: changes.map(({ path }) => ({ path, why })) });
    const handle = tools.start(run, ({ result, isError }) => {
      if (isError) return failed(result);
      tell(JSON.parse(result) as Restored);
    });
    return () => {
      if (over) return;
      over = true;
      handle.kill(() => undefined);
    };
  });
