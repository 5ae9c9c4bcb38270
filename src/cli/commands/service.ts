import { discover } from '../../client/discover.ts';
import { installService, serviceOf, uninstallService } from '../../operations/service.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';

/** Both may be repeated: the second time changes nothing, and is no failure. */
export const serviceCommand = async (
  ctx: Context,
  action: 'install' | 'uninstall',
  options: { json?: boolean },
): Promise<number> => {
  try {
    const service = serviceOf(ctx.env);
    const [body, text] = action === 'install' ? await install(ctx, service) : await uninstall(ctx, service);
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${text}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

type Service = ReturnType<typeof serviceOf>;

const install = async (ctx: Context, service: Service): Promise<[object, string]> => {
  const { kind } = await discover(ctx.paths.stateFile);
  const running = kind === 'running' || kind === 'unresponsive';
  const body = await installService(service, { running, env: ctx.env });
  const what = body.changed ? 'Installed' : 'Already installed';
  const when = running
    ? 'A daemon runs already; the service starts the next one when you log in'
    : 'It has started the daemon, and will when you log in';
  return [body, `${what}: ${body.name} (${body.manager}), ${body.file}\n${when}`];
};

const uninstall = async (ctx: Context, service: Service): Promise<[object, string]> => {
  const body = await uninstallService(service, { env: ctx.env });
  return [body, body.removed ? `Uninstalled: ${body.name} (${body.manager})` : 'Not installed: there is nothing to do'];
};
