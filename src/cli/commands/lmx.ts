import { hostPolicyOf, requireLocalInference } from '../../config/host-policy.ts';
import { loadConfig } from '../../config/load.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';

/** [HP1] The policy is asked first, whatever else is wrong, and nothing is opened or written before it has answered. */
export const lmxServeCommand = async (ctx: Context, options: { json?: boolean }): Promise<number> => {
  try {
    const config = loadConfig({ env: ctx.env, file: ctx.paths.configFile });
    requireLocalInference(hostPolicyOf(config, ctx.env), 'Serving inference');
    throw new UsageError('The inference server is not part of this build yet; nothing was started', EXIT.error);
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};
