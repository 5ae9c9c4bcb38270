import { LIMITS } from '../actors/limits.ts';
import type { Processes, ToolPlan, ToolRun, ToolSpec, Tools } from '../actors/ports.ts';
import type { ProjectTool } from '../config/project-tools.ts';
import { printable } from '../tools/outcome.ts';
import { objectArgs, WRITING_MODES } from './foreign-tools.ts';

/**
 * Tools that a trusted project brings: commands, run as `run_command` runs one, with the call's arguments in `OPTA_ARGS`. They are of the
 * class `exec`, so that they are judged, confined and ended like any command ([TL10]).
 */
const PREFIX = 'custom__';
interface World {
  toolsOf: (workspace: string | undefined) => readonly ProjectTool[];
  processes: Pick<Processes, 'confine'>;
}

export const withProjectTools = (base: Tools, world: World): Tools => {
  const find = (name: string, workspace: string | undefined): ProjectTool | undefined =>
    name.startsWith(PREFIX)
      ? world.toolsOf(workspace).find((tool) => tool.name === name.slice(PREFIX.length))
      : undefined;
  return {
    offered(scope): ToolSpec[] {
      const own = base.offered(scope);
      if (!WRITING_MODES.has(scope.mode)) return own;
      const brought = world
        .toolsOf(scope.workspace)
        .map(({ name, description, parameters }) => ({ name: `${PREFIX}${name}`, description, parameters }));
      return [...own, ...brought];
    },
    plan(name, argsText, scope) {
      const tool = find(name, scope.workspace);
      if (!tool) return base.plan(name, argsText, scope);
      const { workspace = '' } = scope;
      return planOf(tool, argsText, !tool.network && world.processes.confine({ workspace, network: false }));
    },
    start(run, done) {
      const tool = find(run.name, run.workspace);
      return base.start(tool ? commandOf(tool, run) : run, done);
    },
  };
};

const planOf = (tool: ProjectTool, argsText: string, confined: boolean): ToolPlan | string => {
  const args = objectArgs(argsText, LIMITS.projectToolArgsBytesMax);
  if (typeof args === 'string') return args;
  const missing = (tool.parameters.required ?? []).filter((name) => !Object.hasOwn(args, name));
  if (missing.length > 0) return `Error (invalid-request): missing: ${missing.join(', ')}`;
  const text = JSON.stringify(args);
  return {
    toolClass: 'exec',
    summary: `${tool.name} ${printable(text).slice(0, 200)}`,
    args,
    confined,
    deadlineMs: tool.timeout + LIMITS.commandGraceMs + LIMITS.toolKillDeadlineMs,
    preview: () => `$ ${tool.command}\nOPTA_ARGS=${JSON.stringify(args, null, 2)}`.slice(0, 64 * 1024),
  };
};

/** A scalar argument is also a variable by itself, which is what a short script wants. */
const commandOf = (tool: ProjectTool, run: ToolRun): ToolRun => {
  const scalars = Object.entries(run.args).flatMap(([name, value]): [string, string][] =>
    /^[A-Za-z_]\w{0,63}$/.test(name) && ['string', 'number', 'boolean'].includes(typeof value)
      ? [[`OPTA_ARG_${name.toUpperCase()}`, String(value).replaceAll('\0', '')]]
      : [],
  );
  const { command, timeout, network } = tool;
  return {
    ...run,
    name: 'run_command',
    args: { command, timeout, network },
    env: { ...Object.fromEntries(scalars), OPTA_ARGS: JSON.stringify(run.args) },
  };
};
