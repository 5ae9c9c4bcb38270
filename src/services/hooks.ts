import { randomBytes } from 'node:crypto';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log, Processes, StoredRecord, ToolGate, ToolResult, ToolRun } from '../actors/ports.ts';
import type { Hook } from '../config/schema.ts';
import type { LogRecord } from '../protocol/events.ts';
import { glob } from '../protocol/glob.ts';
import { printable } from '../tools/outcome.ts';
import { recordsOf } from './published.ts';

/**
 * [HK1] Commands of the user, or of a workspace that the user trusts, that something runs. They run as the user, supervised like any
 * process, with what happened on their standard input and in a few variables, and with no secret of ours.
 *
 * One before a tool has the last word, after policy and people, over every call of every agent: what does not end well, or not in its
 * time, refuses ([HK2]). One after a tool is waited for by the session's next call. All others are told, and nobody waits.
 */
export interface Hooks extends ToolGate {
  published(sessionId: string, records: readonly StoredRecord[]): void;
  close(): Promise<void>;
}

export interface OwnedHook extends Hook {
  /** `user:1`, `project:2`: whose it is, and which. */
  label: string;
}

export const labelled = (whose: string, hooks: readonly Hook[]): OwnedHook[] =>
  hooks.map((hook, i) => ({ ...hook, label: `${whose}:${i + 1}` }));

interface World {
  clock: Clock;
  log: Log;
  processes: Pick<Processes, 'shell' | 'home' | 'start'>;
  hooksOf: (workspace: string | undefined) => readonly OwnedHook[];
  /** Before the first turn of a session: what its workspace brings is looked at anew. */
  refresh: (workspace: string | undefined) => void;
  /** What else of a session has to be over before its next call. */
  pending?: (sessionId: string) => Promise<void> | undefined;
  /** Of a session that is loaded. */
  workspaceOf: (sessionId: string) => string | undefined;
}

type Outcome =
  | { kind: 'ended'; code: number | null; said: string }
  | { kind: 'late' }
  | { kind: 'failed'; why: string };
type Facts = { [name: string]: unknown } & { event: Hook['event']; sessionId: string };

interface Running {
  done: Promise<Outcome>;
  /** Resolves when nothing of it is alive. */
  stop(): Promise<void>;
}

export const createHooks = (world: World): Hooks => {
  const { clock, log } = world;
  const live = new Set<Running>();
  const waiting: (() => void)[] = [];
  /** What of a session's last call still runs. */
  const tails = new Map<string, Promise<void>>();
  let closed = false;

  const matching = (event: Hook['event'], workspace: string | undefined, tool?: string): OwnedHook[] =>
    closed
      ? []
      : world
          .hooksOf(workspace)
          .filter((hook) => hook.event === event && (tool === undefined || matches(hook.matcher, tool)));

  const begin = (hook: OwnedHook, facts: Facts, cwd: string): Running => {
    let outcome: Outcome | null = null;
    let settle = (_: Outcome): void => undefined;
    let said = '';
    const done = new Promise<Outcome>((resolve) => {
      settle = resolve;
    });
    const end = (found: Outcome): void => {
      clock.clearTimeout(timer);
      live.delete(running);
      settle(outcome ?? found);
      waiting.shift()?.();
    };
    const handle = world.processes.start(
      {
        processId: `hook_${randomBytes(9).toString('base64url')}`,
        argv: [...world.processes.shell, hook.command],
        cwd,
        model: { confine: null, env: variables(facts, cwd) },
        input: JSON.stringify({ ...facts, cwd }),
      },
      {
        // Ended before there was a process: it begins nothing.
        spawned: () => (outcome === null ? handle.go() : handle.signal('SIGKILL')),
        output: (_stream, text) => {
          said = (said + text).slice(0, LIMITS.hookSaidCharsMax);
        },
        gone: ({ exitCode }) => end({ kind: 'ended', code: exitCode, said: said.trim() }),
        failed: (error) => end({ kind: 'failed', why: error.message }),
      },
    );
    const timer = clock.setTimeout(() => {
      outcome = { kind: 'late' };
      handle.signal('SIGKILL');
    }, hook.timeout);
    const running: Running = {
      done,
      stop: async () => {
        outcome ??= { kind: 'late' };
        handle.signal('SIGKILL');
        await done;
      },
    };
    live.add(running);
    return running;
  };

  /** Runs it when there is room, and says in the log how it went when that was not well. */
  const notify = (hook: OwnedHook, facts: Facts, cwd: string): Promise<void> =>
    new Promise((resolve) => {
      const go = (): void => {
        if (closed) return resolve();
        void begin(hook, facts, cwd).done.then((outcome) => {
          const why = whyNot(outcome);
          if (why !== null) log.warn('a hook did not end well', { hook: hook.label, event: facts.event, why });
          resolve();
        });
      };
      if (live.size < LIMITS.hooksRunningMax) go();
      else if (waiting.length < LIMITS.hooksWaitingMax) waiting.push(go);
      else {
        log.warn('a hook was left out: too many wait', { hook: hook.label, event: facts.event });
        resolve();
      }
    });

  const tell = ({ event, sessionId, ...more }: Facts, workspace: string | undefined): void => {
    if (event === 'session.start') world.refresh(workspace);
    for (const hook of matching(event, workspace))
      void notify(hook, { event, sessionId, ...more }, workspace ?? world.processes.home);
  };

  return {
    before(run, done) {
      let over = false;
      let current: Running | null = null;
      const factsOf = (): Facts => ({ event: 'tool.pre', ...callFacts(run) });
      const ask = async (): Promise<void> => {
        await tails.get(run.sessionId);
        await world.pending?.(run.sessionId);
        for (const hook of matching('tool.pre', run.workspace, run.name)) {
          if (over) return;
          if (hook.background) {
            void notify(hook, factsOf(), run.workspace || world.processes.home);
            continue;
          }
          current = begin(hook, factsOf(), run.workspace || world.processes.home);
          const why = whyNot(await current.done);
          current = null;
          if (over) return;
          if (why !== null) return done(refusalOf(hook, why));
        }
        if (!over) done(null);
      };
      void ask();
      return {
        kill(dead) {
          over = true;
          if (current === null) clock.soon(dead);
          else void current.stop().then(dead);
        },
      };
    },
    after(run, result) {
      const hooks = matching('tool.post', run.workspace, run.name);
      if (hooks.length === 0) return;
      const facts: Facts = { event: 'tool.post', ...callFacts(run), result: result.result, isError: result.isError };
      const cwd = run.workspace || world.processes.home;
      const waitedFor = hooks.filter((hook) => !hook.background);
      for (const hook of hooks) if (hook.background) void notify(hook, facts, cwd);
      const before = tails.get(run.sessionId) ?? Promise.resolve();
      const tail = waitedFor.reduce((last, hook) => last.then(() => notify(hook, facts, cwd)), before);
      tails.set(run.sessionId, tail);
      void tail.then(() => {
        if (tails.get(run.sessionId) === tail) tails.delete(run.sessionId);
      });
    },
    published(sessionId, records) {
      for (const record of recordsOf(records, TOLD)) {
        const told = toldOf(record);
        const { workspace = world.workspaceOf(sessionId) } =
          record.event === 'session.snapshot' ? record.payload.snapshot : {};
        if (told !== null) tell({ ...told, sessionId }, workspace);
      }
    },
    async close() {
      closed = true;
      for (const go of waiting.splice(0)) go();
      await Promise.all([...live].map((one) => one.stop()));
    },
  };
};

const callFacts = ({ sessionId, turnId, callId, name, args }: ToolRun) => ({
  sessionId,
  turnId,
  callId,
  tool: name,
  args,
});

/** `a|b*`: names of tools or globs of them. */
const matches = (matcher: string | undefined, tool: string): boolean =>
  matcher === undefined || matcher === '' || matcher.split('|').some((one) => glob(one.trim(), tool));

/** [HK2] Why it refuses; null: it does not. */
const whyNot = (outcome: Outcome): string | null => {
  if (outcome.kind === 'failed') return outcome.why;
  if (outcome.kind === 'late') return 'it did not end in its time';
  if (outcome.code === 0) return null;
  return outcome.said === '' ? `exit code ${outcome.code}` : outcome.said;
};

const refusalOf = ({ label }: OwnedHook, why: string): ToolResult => ({
  result: `A hook of the user refused this call, and it did not run: ${printable(why)}`,
  isError: true,
  vetoedBy: `hook:${label}`,
});

/** The names are those of the older program. What is too long for a variable is on the standard input alone. */
const variables = (facts: Facts, cwd: string): { [name: string]: string } => {
  const args = facts.args === undefined ? undefined : JSON.stringify(facts.args);
  const said: { [name: string]: unknown } = {
    OPTA_EVENT: facts.event,
    OPTA_SESSION_ID: facts.sessionId,
    OPTA_TURN_ID: facts.turnId,
    OPTA_CWD: cwd,
    OPTA_TOOL_NAME: facts.tool,
    OPTA_TOOL_ARGS: args !== undefined && args.length <= LIMITS.hookEnvCharsMax ? args : undefined,
    OPTA_TOOL_RESULT: typeof facts.result === 'string' ? facts.result.slice(0, LIMITS.hookSaidCharsMax) : undefined,
    OPTA_ERROR: typeof facts.message === 'string' ? facts.message.slice(0, LIMITS.hookSaidCharsMax) : undefined,
  };
  return Object.fromEntries(
    Object.entries(said).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value).replaceAll('\0', '')]],
    ),
  );
};

const TOLD = ['session.snapshot', 'session.updated', 'turn.done', 'turn.error', 'context.compacted'] as const;

const toldOf = ({ event, payload, seq }: LogRecord): { event: Hook['event']; [fact: string]: unknown } | null => {
  if (event === 'turn.done') return { event: 'turn.done', turnId: payload.turnId, stopReason: payload.stopReason };
  if (event === 'turn.error')
    return { event: 'error', turnId: payload.turnId, code: payload.code, message: payload.message };
  if (event === 'context.compacted') return { event: 'compact', turnId: payload.turnId };
  if (event === 'session.snapshot' && seq === 1) return { event: 'session.start' };
  if (event === 'session.updated' && payload.change?.kind === 'deleted') return { event: 'session.end' };
  return null;
};
