import { type Check, examine } from '../../operations/doctor.ts';
import { pass } from '../../operations/doctor-checks.ts';
import { type Context, packageVersion } from '../context.ts';
import { EXIT } from '../exit.ts';
import { findLocalServers, offerLine } from '../local-servers.ts';
import { canAsk, colour, oneLine, wantsColour } from '../output.ts';
import { selfCheck } from '../self-check.ts';

/** `doctor` reports, and exits 0 as scripts expect of it; with `--exit-code`, 1 when something failed. */
export const doctorCommand = async (
  ctx: Context,
  options: { json?: boolean; format: string; exitCode?: boolean; fix?: boolean },
): Promise<number> => {
  if (options.fix) ctx.output.err('opta: --fix changes nothing in this version: each line says what to type\n');
  const report = await examine({
    paths: ctx.paths,
    env: ctx.env,
    version: packageVersion(),
    workspace: ctx.cwd,
    terminal: terminalCheck(ctx),
    selfCheck: () => selfCheck(ctx),
    localServers: async () => (await findLocalServers(ctx)).map((server) => ({ ...server, offer: offerLine(server) })),
  });
  const { passed, warnings, failures } = report.summary;
  if (options.json || options.format === 'json') ctx.output.pretty(report);
  else {
    for (const check of report.checks) ctx.output.out(lineOf(check));
    const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
    ctx.output.out(`\n${passed} passed, ${counted(warnings, 'warning')}, ${counted(failures, 'failure')}\n`);
  }
  return options.exitCode && failures > 0 ? EXIT.error : EXIT.ok;
};

const MARKS = { pass: colour.green('✓'), warn: colour.yellow('!'), fail: colour.red('✗') } as const;

const lineOf = ({ name, status, message, detail }: Check): string =>
  `${MARKS[status]} ${name.padEnd(17)} ${oneLine(message, 400)}\n${detail === undefined ? '' : `${' '.repeat(20)}→ ${oneLine(detail, 400)}\n`}`;

const terminalCheck = (ctx: Context): Check => {
  const { isTTY = false, columns } = process.stdout;
  const size = isTTY ? `terminal, ${columns} columns` : 'no terminal';
  const colours = wantsColour(ctx.env, isTTY) ? 'colours' : 'no colours';
  const asks = canAsk(ctx.env) ? 'questions are asked here' : 'what would be asked is denied';
  return pass('Terminal', `${size}, ${colours}, ${asks}`);
};
