import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import { pathToFileURL } from 'node:url';
import { connect } from '../../client/index.ts';
import { writePrivateFile } from '../../config/paths.ts';
import { sessionIdOf } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import { callOf } from '../call.ts';
import { type Context, daemonOf } from '../context.ts';
import { EXIT } from '../exit.ts';

export interface WebOptions {
  session?: string;
  /** `--no-open`. */
  open: boolean;
  print?: boolean;
  json?: boolean;
  revoke?: boolean;
}

/** How a browser is opened: a program with its arguments; no shell reads the address. Null where there is nothing to show it on. */
export const openerOf = (
  platform: NodeJS.Platform,
  env: { readonly [name: string]: string | undefined },
): [command: string, args: string[]] | null => {
  if (platform === 'darwin') return ['open', []];
  // `start` is a word of cmd; this is the program behind it, which takes an address as it is.
  if (platform === 'win32') return ['rundll32', ['url.dll,FileProtocolHandler']];
  return env.DISPLAY || env.WAYLAND_DISPLAY ? ['xdg-open', []] : null;
};

/** The page of the running daemon, started if need be: opens it, or prints its address. [WB4] The ticket in it is said nowhere else. */
export const webCommand = async (ctx: Context, options: WebOptions): Promise<number> => {
  const { state } = await daemonOf(ctx);
  const client = connect({ address: () => Promise.resolve(state) });
  try {
    if (options.revoke) {
      const { revoked } = await client.call('web.revoke');
      if (options.json) ctx.output.pretty({ revoked });
      else ctx.output.out(`Signed out: ${revoked === 1 ? 'one page' : `${revoked} pages`}.\n`);
      return EXIT.ok;
    }
    const session = options.session === undefined ? null : await sessionIdOf(callOf(client), options.session);
    // A page that begins with a session that is not there would have nothing to show.
    if (session !== null) await client.why(session);
    const { url, expiresAt, page } = await client.call('web.ticket');
    if (!page) throw new OptaError('not-in-this-build', NOT_BUILT);
    const address = session === null ? url : `${url}&session=${encodeURIComponent(session)}`;
    if (options.json) {
      ctx.output.pretty({ url: address, expiresAt });
      return EXIT.ok;
    }
    return await show(ctx, address, options);
  } finally {
    client.close();
  }
};

const NOT_BUILT = 'The web page was not built. From the folder of Opta: npm run build, then opta daemon restart';

const show = async (ctx: Context, address: string, options: WebOptions): Promise<number> => {
  const opener = options.open && !options.print && isatty(1) ? openerOf(process.platform, ctx.env) : null;
  const failed = opener === null ? null : await opened(opener, wayTo(ctx, address));
  if (opener !== null && failed === null) {
    ctx.output.err(`opta: the page of ${address.split('#')[0]} opens in your browser\n`);
    return EXIT.ok;
  }
  if (failed !== null) ctx.output.err(`opta: no browser could be opened (${failed}); open this address:\n`);
  else ctx.output.err('opta: open this address within a minute; it is good once\n');
  ctx.output.out(`${address}\n`);
  return EXIT.ok;
};

/**
 * Every process of the machine can read argument lists, and a ticket in one could be turned in by somebody else first. So the browser is
 * given a file that only this user can read, and that leads on. It holds a ticket that is good once and for a minute; the next one replaces it.
 */
export const wayTo = ({ paths }: Pick<Context, 'paths'>, address: string): string => {
  const file = join(paths.daemonDir, 'web-open.html');
  const safe = address.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const head = `<meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url=${safe}">`;
  writePrivateFile(file, `<!doctype html>${head}<title>Opta</title><a href="${safe}">Opta</a>\n`);
  return pathToFileURL(file).href;
};

/** What runs this long has taken the address: some of these programs stay until the browser ends. */
const OPENING_MS = 3_000;

/** Resolves with what went wrong, or null. */
const opened = ([command, args]: [string, string[]], address: string): Promise<string | null> =>
  new Promise((resolve) => {
    const child = spawn(command, [...args, address], { stdio: 'ignore', detached: true, windowsHide: true });
    const late = setTimeout(() => resolve(null), OPENING_MS);
    const end = (why: string | null): void => {
      clearTimeout(late);
      resolve(why);
    };
    child.on('error', (cause) => end(cause.message));
    child.on('exit', (code) => end(code === 0 ? null : `${command} ended with ${code}`));
    child.unref();
  });
