import { isatty } from 'node:tty';
import { keychainDelete, keychainSet, keychainStatus } from '../../operations/keychain.ts';
import { fieldOf, PROVIDERS, type Provider, providerOf } from '../../operations/secrets/providers.ts';
import type { StoreInfo } from '../../operations/secrets/secrets.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';

/** What a command says: as JSON, and to a person. */
type Said = [body: object, text: string];

/** `status`, `set-<provider> <key>`, `delete-<provider>`. */
export const keychainCommand = async (
  ctx: Context,
  action: string,
  key: string | undefined,
  options: { json?: boolean },
): Promise<number> => {
  try {
    const [body, text] = await run(ctx, action, key);
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${text}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const run = (ctx: Context, action: string, key: string | undefined): Promise<Said> => {
  const [, verb, name = ''] = /^(set|delete)-(.+)$/.exec(action) ?? [];
  if (verb === 'set') return set(ctx, providerOf(name), key);
  if (key !== undefined) throw new UsageError(`keychain ${action} takes nothing more`, 1);
  if (verb === 'delete') return remove(ctx, providerOf(name));
  if (action === 'status') return status(ctx);
  throw new UsageError(`Unknown action "${action}": status, set-<provider> <key> or delete-<provider>`);
};

const set = async (ctx: Context, provider: Provider, key: string | undefined): Promise<Said> => {
  if (key === undefined) throw new UsageError("missing required argument 'key' (- reads it from standard input)", 1);
  if (key !== '-')
    ctx.output.err(
      'opta: others on this machine can see the arguments of a command, and the shell remembers them; - reads the key from standard input\n',
    );
  const done = await keychainSet(ctx, provider, key === '-' ? await readKey(ctx) : key);
  // A running daemon has read it already.
  if (provider === 'lmx')
    ctx.output.err('opta: a running daemon takes it over when it is restarted: opta daemon restart\n');
  return [done, `Stored the ${provider} key in ${where(done)}`];
};

const remove = async (ctx: Context, provider: Provider): Promise<Said> => {
  const done = await keychainDelete(ctx, provider);
  if (done.unasked !== undefined)
    ctx.output.err(`opta: the keyring could not be asked, so a key may still be in it: ${done.unasked}\n`);
  return [done, done.deleted ? `Deleted the ${provider} key` : `There is no ${provider} key`];
};

const status = async (ctx: Context): Promise<Said> => {
  const found = await keychainStatus(ctx);
  const lines = PROVIDERS.map((p) => `${p.padEnd(14)} ${found[fieldOf(p)] === true ? 'stored' : '–'}`);
  const head = found.available ? `Keys are kept in ${where(found)}` : `No keys are kept: ${found.why}`;
  return [found, [head, ...lines].join('\n')];
};

const where = ({ backend, store, why }: StoreInfo): string =>
  backend === 'os' ? `${store} (${why})` : `${store}, which you alone can read but which is not encrypted: ${why}`;

const KEY_BYTES_MAX = 64 << 10;

const readKey = async (ctx: Context): Promise<string> => {
  if (isatty(0)) ctx.output.err('Paste the key, then press Enter and Ctrl-D\n');
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of process.stdin) {
    bytes += (part as Buffer).length;
    if (bytes > KEY_BYTES_MAX) throw new UsageError('That is no key: it is too long');
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString('utf8');
};
