import { versionCheck } from '../../operations/version.ts';
import { type Context, packageVersion } from '../context.ts';
import { EXIT } from '../exit.ts';

/** The bare version on stdout; what `--check` has to say is for people, unless they ask for JSON. */
export const versionCommand = (ctx: Context, options: { check?: boolean; json?: boolean }): number => {
  const checked = versionCheck(packageVersion());
  if (options.json) ctx.output.pretty(options.check ? checked : { version: checked.version });
  else {
    ctx.output.out(`${checked.version}\n`);
    if (options.check) ctx.output.err(`${checked.message}\n`);
  }
  return EXIT.ok;
};
