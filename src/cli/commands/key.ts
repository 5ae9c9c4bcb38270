import { copyKey, createKey, showKey } from '../../operations/key.ts';
import type { Copied } from '../../operations/secrets/clipboard.ts';
import type { SecretsWorld } from '../../operations/secrets/secrets.ts';
import { toOptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';
import { oneLine } from '../output.ts';

export interface KeyOptions {
  json?: boolean;
  value?: string;
  remote?: boolean;
  copy?: boolean;
  reveal?: boolean;
}

export const keyCreateCommand = async (ctx: Context, options: KeyOptions): Promise<number> => {
  const { json = false, value, remote = true, copy = true } = options;
  try {
    const made = await createKey(world(ctx), { remote, copy, ...(value === undefined ? {} : { value }) });
    if (made.overriddenBy !== undefined)
      ctx.output.err(`opta: ${made.overriddenBy} is set and has the last word over this key\n`);
    if (json) ctx.output.pretty(made);
    else {
      const lines = [`Created ${made.key} in ${made.store}`];
      if (remote) lines.push(made.remote.message);
      if (copy)
        lines.push(made.copy.ok ? made.copy.message : `${made.copy.message} (opta key show --reveal prints it)`);
      ctx.output.out(`${lines.join('\n')}\n`);
    }
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, json, { ok: false });
  }
};

export const keyShowCommand = async (ctx: Context, options: KeyOptions): Promise<number> => {
  const { json = false, reveal = false, copy = false } = options;
  try {
    const shown = await showKey(world(ctx), reveal, copy);
    if (json) ctx.output.pretty(shown);
    else if (!shown.configured) ctx.output.out('No inference key is set\n');
    // Bare, so that a script can use it.
    else if (reveal) ctx.output.out(`${shown.key}\n`);
    else ctx.output.out(`${shown.key}  (${shown.source})\n`);
    if (shown.copy && !json) ctx.output.err(`${shown.copy.message}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, json);
  }
};

export const keyCopyCommand = async (ctx: Context, { json = false }: KeyOptions): Promise<number> => {
  let copied: Copied;
  try {
    copied = await copyKey(world(ctx));
  } catch (cause) {
    return reportFailure(ctx.output, cause, json, { ok: false, message: toOptaError(cause).message });
  }
  const exitCode = copied.ok ? EXIT.ok : EXIT.error;
  if (json && copied.ok) ctx.output.pretty(copied);
  else if (json) ctx.output.json({ ...copied, error: copied.message, exit_code: exitCode });
  else if (copied.ok) ctx.output.out(`${copied.message}\n`);
  else ctx.output.err(`error: ${copied.message}\n`);
  return exitCode;
};

const world = (ctx: Context): SecretsWorld => ({
  paths: ctx.paths,
  env: ctx.env,
  warn: (why) => ctx.output.err(`opta: there may be a key that cannot be read: ${oneLine(why, 400)}\n`),
});
