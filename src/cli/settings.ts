import { hostPolicyOf, refuseModelFiles } from '../config/host-policy.ts';
import { importLine, importOldConfig } from '../config/import-old.ts';
import { type Resolved, resolveConfig } from '../config/load.ts';
import { ignoredLine, type ProjectConfig } from '../config/project.ts';
import { decideTrust } from '../config/trust.ts';
import { question } from './ask.ts';
import type { Context } from './context.ts';
import { canAsk, printable } from './output.ts';

/** Takes the settings of an older version over, once, and says so on stderr. */
export const importOnce = async (ctx: Context): Promise<void> => {
  const imported = await importOldConfig(ctx.paths, ctx.env);
  if (imported !== null) ctx.output.err(`${importLine(imported, ctx.paths)}\n`);
};

/**
 * The configuration for a new session in the current folder. What its project's file wants and may not have is said in one line; at a
 * terminal the person is asked first, once for each content of the file ([CF3]).
 */
export const sessionSettings = async (ctx: Context, mayAsk: boolean): Promise<Resolved> => {
  const resolve = (): Resolved => resolveConfig({ env: ctx.env, file: ctx.paths.configFile, workspace: ctx.cwd });
  let found = resolve();
  if (found.project !== null && mayAsk && canAsk(ctx.env) && (await asked(ctx, found.project))) found = resolve();
  const line = found.project === null ? null : ignoredLine(found.project);
  refuseModelFiles(hostPolicyOf(found.config, ctx.env), found.config);
  // A refusal was heard when it was given.
  if (line !== null && found.project?.trust !== 'refused') ctx.output.err(`opta: ${line}\n`);
  return found;
};

/** The model that this configuration names for a new session, where the daemon's own would be another. */
export const sessionModel = ({ config, sourceOf }: Resolved): string | undefined => {
  const { kind } = sourceOf('model.default');
  return (kind === 'env' || kind === 'project') && config.model.default !== '' ? config.model.default : undefined;
};

/** True when trust was given now. */
const asked = async (ctx: Context, project: ProjectConfig): Promise<boolean> => {
  const { file, sha256, trust, held } = project;
  if (held.length === 0 || trust === 'trusted' || trust === 'refused') return false;
  const changed = trust === 'changed' ? ' It changed since you last decided.' : '';
  ctx.output.err(`${file} sets ${held.join(', ')}.${changed}\n`);
  for (const line of project.runs) ctx.output.err(`  ${printable(line)}\n`);
  const text = await question('  Trust this file as it is now? [y/N] ');
  const trusted = /^y(es)?$/i.test((text ?? '').trim());
  await decideTrust(ctx.paths, file, { sha256, trusted });
  return trusted;
};
