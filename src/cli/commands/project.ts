import { type Diff, diffOf } from '../../operations/diff.ts';
import { scaffold } from '../../operations/init.ts';
import { sessionIdOf } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import { question } from '../ask.ts';
import { callOf } from '../call.ts';
import { type Context, withDaemon } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';
import { canAsk, oneLine, printable } from '../output.ts';

export interface InitOptions {
  yes?: boolean;
  force?: boolean;
  json?: boolean;
}

export const initCommand = async (ctx: Context, options: InitOptions): Promise<number> => {
  try {
    if (!options.yes && !options.json && canAsk(ctx.env) && !(await agreed(ctx, options.force ?? false))) {
      ctx.output.err('Nothing was written\n');
      return EXIT.interrupted;
    }
    const done = scaffold(ctx.cwd, options.force ? { force: true } : {});
    if (options.json) ctx.output.pretty(done);
    else {
      for (const name of done.created) ctx.output.out(`created   ${name}\n`);
      for (const name of done.replaced) ctx.output.out(`replaced  ${name}\n`);
      for (const name of done.kept) ctx.output.out(`kept      ${name} (--force replaces it)\n`);
    }
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const agreed = async (ctx: Context, force: boolean): Promise<boolean> => {
  const spared = force ? 'replacing what is there' : 'keeping what is there';
  const text = await question(`Write .opta/config.json and AGENTS.md into ${oneLine(ctx.cwd)}, ${spared}? [Y/n] `);
  return text !== null && !/^n/i.test(text.trim());
};

export interface DiffOptions {
  session?: string;
  json?: boolean;
}

/** Exit 0 whatever it finds, as scripts expect of it; also outside a repository. */
export const diffCommand = async (ctx: Context, options: DiffOptions): Promise<number> => {
  const { session } = options;
  try {
    const found =
      session === undefined
        ? await diffOf({ workspace: ctx.cwd }, { call: noDaemon, env: ctx.env })
        : await withDaemon(ctx, async (http) => {
            const call = callOf(http);
            return diffOf({ session: await sessionIdOf(call, session) }, { call, env: ctx.env });
          });
    if (options.json) ctx.output.pretty(found);
    else say(ctx, found);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

/** A folder is compared without one. */
const noDaemon = (): Promise<never> => Promise.reject(new OptaError('internal', 'No daemon is asked here'));

const say = (ctx: Context, { workspace, repository, session, diff, truncated }: Diff): void => {
  // As it is for a program, which may apply it; made safe for a terminal.
  ctx.output.out(process.stdout.isTTY ? printable(diff) : diff);
  if (truncated) ctx.output.err('opta: the rest is left out; git diff has all of it\n');
  if (diff !== '') return;
  if (session !== undefined) ctx.output.err('Nothing that this session wrote is uncommitted\n');
  else ctx.output.err(repository === null ? `${workspace} is in no git repository\n` : 'Nothing is uncommitted\n');
};
