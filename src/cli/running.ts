import { discover } from '../client/discover.ts';
import type { Context } from './context.ts';

/** A running daemon keeps the settings that it was started with: nothing is moved behind anybody's back. True when one runs. */
export const sayIfRunning = async (ctx: Context): Promise<boolean> => {
  const { kind } = await discover(ctx.paths.stateFile);
  const runs = kind === 'running' || kind === 'unresponsive';
  if (runs) ctx.output.err('opta: the running daemon keeps its settings until: opta daemon restart\n');
  return runs;
};
