import { serveStatus } from '../../operations/inference.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';
import { withHost } from '../inference-host.ts';

const REMOTE = new Set(['start', 'stop', 'restart', 'logs']);

/** The remote control of an inference server, of old. What it says of the server it still says; it starts and stops none. */
export const serveCommand = async (ctx: Context, action: string, options: { json?: boolean }): Promise<number> => {
  try {
    if (REMOTE.has(action))
      throw new OptaError(
        'not-in-this-build',
        `"opta serve ${action}" controlled a server on another machine over SSH and is not part of this build. On the inference host itself: opta lmx serve`,
      );
    const body = await withHost(ctx, {}, ({ world }) => serveStatus(world));
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${textOf(body)}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const textOf = (body: Awaited<ReturnType<typeof serveStatus>>): string => {
  if (!body.running) return `The inference server at ${body.host}:${body.port} does not answer: ${body.reason}`;
  if (!body.adminAuthorized)
    return `The inference server at ${body.host}:${body.port} runs; its models are not administered from here: ${body.error}`;
  const { version, models } = body.status;
  const loaded = models.length === 1 ? '1 model is' : `${models.length} models are`;
  return `The inference server runs, version ${version ?? 'unknown'}; ${loaded} loaded`;
};
