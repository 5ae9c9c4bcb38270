import { OptaError } from '../../protocol/errors.ts';
import { reportFailure } from '../exit.ts';
import type { Family } from './family.ts';

const ACCOUNT = 'There are no accounts; keys are kept on this machine: opta keychain status';

/** Commands of other versions, and what to do instead. Their old actions and flags are taken and passed over. */
const ABSENT: readonly [command: string, was: string, instead: string][] = [
  ['account', 'an account, its login and its keys', ACCOUNT],
  ['vault', 'keys and rules from the cloud', 'Keys: opta keychain. Rules: opta config set permissions.rules'],
  ['apps', 'further apps', 'The daemon and this command are all there is; clients connect to the daemon'],
  ['workspace', 'a list of workspaces', 'Run opta in the folder itself; opta init begins a project there'],
  ['benchmark', 'a web research benchmark', 'Time one task: opta do --format json "…"'],
  ['ceo-bench', 'a benchmark of planning', 'Time one task: opta do --mode ceo --format json "…"'],
  ['browser', 'a browser that opta drives', 'Use an MCP server that has one: opta mcp add-playwright'],
  ['update', 'updates of this and other machines', 'Install a newer version over this one, then: opta daemon restart'],
  ['memory', 'copies of memory files between providers', 'Keep notes in the project, e.g. AGENTS.md: opta init'],
];

/** Commands of the old CLI that are not part of this build. */
export const addPeripheral: Family = (program, ctx, done) => {
  for (const [name, was, instead] of ABSENT) {
    program
      .command(name)
      .description(`not part of this build (${was})`)
      .argument('[words...]', 'passed over')
      .option('--json', 'as JSON')
      .addHelpText('after', `\n${instead}`)
      .allowUnknownOption()
      .allowExcessArguments()
      .action((_words: string[], options: { json?: boolean }) => {
        const message = `opta ${name} is not part of this build. ${instead}`;
        done(reportFailure(ctx.output, new OptaError('not-in-this-build', message), options.json ?? false));
      });
  }
};
