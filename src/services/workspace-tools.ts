import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log, ToolPlan, ToolResult, ToolRun, ToolSpec, Tools } from '../actors/ports.ts';
import type { McpServer } from '../config/schema.ts';
import type { OpenWorkspace } from '../tools/brief.ts';
import { printable } from '../tools/outcome.ts';
import { objectArgs, WRITING_MODES } from './foreign-tools.ts';
import { namesOf } from './mcp-names.ts';
import { McpService, type ServedTool } from './mcp-service.ts';

/**
 * The tools of a workspace besides our own: those of the servers that the user configured, or that the workspace brings and the user trusts. Each server runs once for a workspace,
 * however many turns use it ([MC4]). What a turn is offered is what is ready when it asks; a server that is not says why in a note.
 *
 * Every served tool is of the class `exec`: what it does cannot be seen, so it is asked about, whatever it says of itself ([MC6]).
 */
export interface WorkspaceTools extends Tools {
  open: OpenWorkspace;
  close(): Promise<void>;
}

interface World {
  clock: Clock;
  log: Log;
  version: string;
  loopbackOnly: boolean;
  /** The user's, and those that a trusted workspace brings. */
  servers: (workspace: string) => { readonly [name: string]: McpServer };
}

interface Served {
  service: McpService;
  tool: ServedTool;
  name: string;
}

export const withServices = (base: Tools, world: World): WorkspaceTools => {
  const services = new Map<string, { service: McpService; workspace: string }>();
  let closed = false;

  const of = (workspace: string | undefined): McpService[] => {
    if (workspace === undefined || closed) return [];
    return Object.entries(world.servers(workspace)).map(([name, server]) => {
      const key = JSON.stringify([name, workspace, server]);
      const known = services.get(key);
      if (known) return known.service;
      const service = new McpService(name, server, workspace, world);
      services.set(key, { service, workspace });
      return service;
    });
  };
  /** What was configured, or trusted, and is no longer ends when the next turn begins. */
  const endOthers = (workspace: string | undefined, all: readonly McpService[]): void => {
    for (const [key, one] of services) {
      if (one.workspace !== workspace || all.includes(one.service)) continue;
      services.delete(key);
      void one.service.close();
    }
  };
  const served = (workspace: string | undefined): Served[] => {
    const all = of(workspace).flatMap((service) => service.tools.map((tool) => ({ service, tool })));
    const names = namesOf(all.map(({ service, tool }) => ({ server: service.name, tool: tool.name })));
    return all.map((one, i) => ({ ...one, name: names[i] ?? '' }));
  };
  const find = (name: string, workspace: string | undefined): Served | undefined =>
    name.startsWith('mcp__') ? served(workspace).find((one) => one.name === name) : undefined;

  return {
    open({ workspace }, ready) {
      let over = false;
      const all = of(workspace);
      endOthers(workspace, all);
      const done = (): void => {
        if (over) return;
        over = true;
        world.clock.clearTimeout(timer);
        const notes = all.flatMap(({ name, trouble, tools }) => {
          if (trouble !== null) return [`The tools of ${name} cannot be had: ${printable(trouble).slice(0, 300)}.`];
          return tools.length === 0 ? [`The tools of ${name} are not ready.`] : [];
        });
        ready(notes);
      };
      const timer = world.clock.setTimeout(done, LIMITS.servicesOpenMs);
      void Promise.all(all.map((service) => service.open())).then(done);
      return () => {
        over = true;
        world.clock.clearTimeout(timer);
      };
    },
    offered(scope): ToolSpec[] {
      const own = base.offered(scope);
      if (!WRITING_MODES.has(scope.mode)) return own;
      return [...own, ...served(scope.workspace).map(({ name, tool }) => ({ ...tool, name }))];
    },
    plan(name, argsText, scope) {
      const found = find(name, scope.workspace);
      return found ? planOf(found, argsText) : base.plan(name, argsText, scope);
    },
    start(run, done) {
      const found = find(run.name, run.workspace);
      if (!found) return base.start(run, done);
      return startOf(found, run, done, world.clock);
    },
    async close() {
      closed = true;
      await Promise.all([...services.values()].map(({ service }) => service.close()));
      services.clear();
    },
  };
};

const planOf = ({ service, tool }: Served, argsText: string): ToolPlan | string => {
  const args = objectArgs(argsText);
  if (typeof args === 'string') return args;
  const shown = printable(JSON.stringify(args)).slice(0, 200);
  return {
    toolClass: 'exec',
    summary: `${printable(service.name)}: ${printable(tool.name)} ${shown}`,
    args,
    preview: () => JSON.stringify(args, null, 2).slice(0, 64 * 1024),
  };
};

const startOf = (
  { service, tool }: Served,
  run: ToolRun,
  done: (result: ToolResult) => void,
  clock: Clock,
): ReturnType<Tools['start']> => {
  const ended = new AbortController();
  let over = false;
  void service.call(tool.name, run.args, ended.signal, run.deadlineMs).then((result) => {
    if (over) return;
    over = true;
    done(result);
  });
  return {
    kill(dead) {
      over = true;
      ended.abort();
      clock.soon(dead);
    },
  };
};
