import { Command, CommanderError } from 'commander';
import { type Context, packageVersion } from './context.ts';
import { addChat } from './families/chat.ts';
import { addConfig } from './families/config.ts';
import { addDaemon } from './families/daemon.ts';
import { addDemo } from './families/demo.ts';
import { addDo } from './families/do.ts';
import { addEnv } from './families/env.ts';
import type { Done, Family } from './families/family.ts';
import { addHealth } from './families/health.ts';
import { addInspect } from './families/inspect.ts';
import { addKeys } from './families/keys.ts';
import { addLmx } from './families/lmx.ts';
import { addMcp } from './families/mcp.ts';
import { addModels } from './families/models.ts';
import { addPeripheral } from './families/peripheral.ts';
import { addProject } from './families/project.ts';
import { addServer } from './families/server.ts';
import { addSessions } from './families/sessions.ts';
import { addShell } from './families/shell.ts';
import { addWeb } from './families/web.ts';

/** In the order in which help lists them. */
const FAMILIES: readonly Family[] = [
  addDo,
  addChat,
  addDaemon,
  addSessions,
  addConfig,
  addEnv,
  addHealth,
  addModels,
  addLmx,
  addMcp,
  addKeys,
  addServer,
  addInspect,
  addWeb,
  addProject,
  addShell,
  addPeripheral,
  addDemo,
];

/** The command tree. */
export const buildProgram = (ctx: Context, done: Done): Command => {
  const program = new Command('opta')
    .description('Local agent runtime: sessions as supervised state machines behind one loopback daemon')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('-v, --verbose', 'say more on stderr')
    .option('--debug', 'the same, with the stack of what went wrong')
    .enablePositionalOptions()
    .hook('preAction', () => {
      const { verbose, debug } = program.opts<{ verbose?: boolean; debug?: boolean }>();
      if (verbose) process.env.OPTA_VERBOSE = '1';
      if (debug) process.env.OPTA_DEBUG = '1';
    })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => ctx.output.out(text),
      writeErr: (text) => ctx.output.err(text),
    });
  for (const add of FAMILIES) add(program, ctx, done);
  return program;
};

export { CommanderError };
