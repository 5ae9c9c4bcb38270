import { deleteKey, setKey } from '../config/edit.ts';
import { KEYS, nearest } from '../config/keys.ts';
import { type Resolved, resolveConfig } from '../config/load.ts';
import { covered } from '../config/secrets.ts';
import { effective, explained, explanation, isReadAtStart, listedKeys, noteOn, shown } from '../config/shown.ts';
import { question } from './ask.ts';
import type { Context } from './context.ts';
import { EXIT, failureText } from './exit.ts';
import { colour, oneLine } from './output.ts';
import { sayIfRunning } from './running.ts';

const VALUE_CHARS_MAX = 60;
const FOUND_MAX = 40;

/**
 * The configuration as a dialogue, a line at a time: a key is chosen by its number, its name or a part of it. The dialogue is on
 * stderr, what it changed on stdout. An empty line leaves it, and so does the end of input.
 */
export const configMenu = async (ctx: Context): Promise<number> => {
  let restart = false;
  let keys = listedKeys(resolved(ctx));
  showKeys(ctx, keys);
  for (;;) {
    const said = (
      (await question(
        `${colour.bold('Key')} ${colour.dim('(number, name or part of one; ? lists; empty leaves)')} `,
      )) ?? ''
    ).trim();
    if (said === '' || said === 'q' || said === 'quit') break;
    const found = said === '?' ? KEYS.filter((row) => !row.kept).map((row) => row.key) : matching(keys, said);
    const [only] = found;
    if (only === undefined) ctx.output.err(`  no key has this name; all of them: opta config list --json\n`);
    else if (found.length > 1) {
      keys = found.slice(0, FOUND_MAX);
      showKeys(ctx, keys);
    } else if ((await change(ctx, only)) && isReadAtStart(only)) restart = true;
  }
  if (restart) await sayIfRunning(ctx);
  return EXIT.ok;
};

const resolved = (ctx: Context): Resolved =>
  resolveConfig({ env: ctx.env, file: ctx.paths.configFile, workspace: ctx.cwd });

const showKeys = (ctx: Context, keys: readonly string[]): void => {
  const { config, sourceOf } = resolved(ctx);
  for (const [i, key] of keys.entries()) {
    const value = oneLine(shown(covered(key, effective(config, key))), VALUE_CHARS_MAX);
    const { kind } = sourceOf(key);
    ctx.output.err(
      `${String(i + 1).padStart(3)}  ${key.padEnd(29)} ${value}${kind === 'default' ? '' : colour.dim(`  (${kind})`)}\n`,
    );
  }
};

/** What is meant: a number of the list on the screen, a whole name, else every key with this part. */
const matching = (listed: readonly string[], said: string): string[] => {
  if (/^\d+$/.test(said)) return listed.slice(Number(said) - 1, Number(said)).filter(() => Number(said) > 0);
  const all = KEYS.map((row) => row.key);
  if (all.includes(said) || said.startsWith('permissions.')) return [said];
  const part = all.filter((key) => key.toLowerCase().includes(said.toLowerCase()));
  const near = part.length === 0 ? nearest(said, all) : undefined;
  return near === undefined ? part : [near];
};

/** True when something was changed. */
const change = async (ctx: Context, key: string): Promise<boolean> => {
  ctx.output.err(`${explanation(explained(resolved(ctx), key))}\n`);
  const said = (await question(`  New value ${colour.dim('(empty: as it is; -: back to the default)')} `)) ?? '';
  if (said === '') return false;
  try {
    const { before, after } =
      said.trim() === '-' ? await deleteKey(ctx.paths, ctx.env, key) : await setKey(ctx.paths, ctx.env, key, said);
    ctx.output.out(`${key}: ${shown(covered(key, before))} → ${shown(covered(key, after))}\n`);
    const note = noteOn(key);
    if (note !== null && after !== undefined) ctx.output.err(`opta: ${note}\n`);
    return true;
  } catch (cause) {
    // A value that does not fit ends nothing: the person tries another one.
    ctx.output.err(failureText({ code: 'invalid-request', message: (cause as Error).message }));
    return false;
  }
};
