import { type Background, type BackgroundChunk, isRunning, type Signal, toProcess } from '../../protocol/background.ts';
import { readOutput } from '../../protocol/background-output.ts';
import { OptaError } from '../../protocol/errors.ts';
import { SessionIdSchema } from '../../protocol/ids.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import type { Limits } from '../limits.ts';
import type { SessionCommand } from '../messages.ts';
import type { Clock, Done, Ids, LogStore, Processes, ToolJobHandle, ToolResult, ToolRun, Tools } from '../ports.ts';
import { type ChildTurnWorld, childTurns } from './child-turns.ts';
import { delegatedTasks } from './delegated-tasks.ts';

/**
 * Tools that are commands to the call's own session: the background processes of a model are those of `/v3/background`, with the
 * same actors, bounds, output and end. A process that was begun outlives its call and its turn: that is what it is for.
 */
export interface SessionToolWorld extends ChildTurnWorld {
  clock: Clock;
  ids: Ids;
  limits: Limits;
  processes: Pick<Processes, 'shell' | 'confine'>;
  store: Pick<LogStore, 'read'>;
  /** Of a session that is loaded: one whose turn runs is. */
  stateOf(sessionId: string): SessionState | null;
  command<T>(sessionId: string, done: Done<T>, make: (ask: number) => SessionCommand & { ask: number }): void;
}

type Carry = (run: ToolRun, done: (result: ToolResult) => void) => ToolJobHandle['kill'];

const ok = (result: string): ToolResult => ({ result, isError: false });
const failed = ({ code, message }: OptaError): ToolResult => ({ result: `Error (${code}): ${message}`, isError: true });
const unknown = (id: string): OptaError =>
  new OptaError('background-not-found', `there is no process ${id} in this session; bg_status lists them`);

/** Where a reader of a process's output has come, for `since_last_read`. The oldest is forgotten: it reads from the start again. */
const CURSORS_MAX = 1_000;

export const sessionTools = (world: SessionToolWorld): ReadonlyMap<string, Tools['start']> => {
  const { clock, limits } = world;
  const cursors = new Map<string, number>();
  const page = { recordsMax: limits.readPageRecordsMax, bytesMax: limits.readPageBytesMax };
  const all = (run: ToolRun): Background[] => world.stateOf(run.sessionId)?.background ?? [];
  const find = (run: ToolRun): Background | undefined =>
    all(run).find((p) => p.processId === (run.args as { id?: string }).id);
  const line = (run: ToolRun, p: Background): string => lineOf(toProcess(run.sessionId, p, clock.now()));

  const start: Carry = (run, done) => {
    const { command, label, timeout, network = false } = run.args as unknown as BgStart;
    const processId = world.ids.process();
    const at = { workspace: run.workspace, network };
    const input = {
      sessionId: SessionIdSchema.parse(run.sessionId),
      command,
      ...(label === undefined ? {} : { label }),
      ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    };
    const model = { confine: run.confined || world.processes.confine(at) ? at : null };
    const argv = [...world.processes.shell, command];
    let dead: (() => void) | null = null;
    let over = false;
    world.command<{ process: { pid: number } }>(
      run.sessionId,
      (error, value) => {
        over = true;
        if (error) {
          done(failed(error));
          dead?.();
        } else if (dead === null)
          done(ok(`Started ${processId} (pid ${value.process.pid}); bg_output shows what it writes.`));
        // The call was ended before it heard of its process: nobody would know of it.
        else kill(run.sessionId, processId, 'SIGKILL', () => dead?.());
      },
      (ask) => ({ type: 'background.start', ask, processId, input, argv, model }),
    );
    return (ended) => {
      if (over) return clock.soon(ended);
      dead = ended;
    };
  };

  const kill = (sessionId: string, processId: string, signal: Signal, done: (error: OptaError | null) => void): void =>
    world.command(
      sessionId,
      (error) => done(error),
      (ask) => ({ type: 'background.kill', ask, processId, signal }),
    );

  const quick =
    (carry: (run: ToolRun, done: (result: ToolResult) => void) => void): Carry =>
    (run, done) => {
      clock.soon(() => carry(run, done));
      return (ended) => clock.soon(ended);
    };

  const status = quick((run, done) => {
    const { id } = run.args as { id?: string };
    const shown = id === undefined ? all(run) : all(run).filter((p) => p.processId === id);
    if (id !== undefined && shown.length === 0) return done(failed(unknown(id)));
    done(ok(shown.length === 0 ? 'There are no background processes.' : shown.map((p) => line(run, p)).join('\n')));
  });

  const output = quick((run, done) => {
    const { id, lines = LINES, stream = 'both', since_last_read = true } = run.args as unknown as BgOutput;
    const p = find(run);
    if (!p) return done(failed(unknown(id)));
    const key = `${run.sessionId}/${id}`;
    const afterSeq = since_last_read ? (cursors.get(key) ?? 0) : 0;
    const query = { afterSeq, limit: CHUNKS_MAX, stream };
    const read: Parameters<typeof readOutput>[0] = (after, then) => world.store.read(run.sessionId, after, page, then);
    readOutput(read, p, query, limits.eventsReplyBytesMax, (error, page) => {
      if (error) return done(failed(error));
      cursors.delete(key);
      cursors.set(key, page.nextSeq);
      if (cursors.size > CURSORS_MAX) cursors.delete(cursors.keys().next().value ?? '');
      done(shownOf(page.chunks, lines, line(run, p), page.hasMore, limits.commandShownBytesMax));
    });
  });

  const end: Carry = (run, done) => {
    const { id, signal = 'SIGTERM' } = run.args as unknown as { id: string; signal?: Signal };
    const p = find(run);
    if (!p || !isRunning(p)) {
      clock.soon(() => done(p ? ok(line(run, p)) : failed(unknown(id))));
      return (ended) => clock.soon(ended);
    }
    kill(run.sessionId, id, signal, (error) => {
      const now = find(run);
      done(error ? failed(error) : ok(now ? line(run, now) : `${id} has ended`));
    });
    // The signal is on its way; the process ends whether or not somebody waits.
    return (ended) => clock.soon(ended);
  };

  const tools: [string, Carry][] = [
    ['bg_start', start],
    ['bg_status', status],
    ['bg_output', output],
    ['bg_kill', end],
  ];
  const handOn = childTurns(world);
  return new Map([
    ...tools.map(([name, carry]) => [name, once(carry)] as const),
    ['spawn_agent', handOn],
    ['delegate_task', delegatedTasks(clock, handOn)],
  ]);
};

/** A result after the kill is nobody's. */
const once =
  (carry: Carry): Tools['start'] =>
  (run, done) => {
    let over = false;
    const kill = carry(run, (result) => {
      if (over) return;
      over = true;
      done(result);
    });
    return {
      kill(dead) {
        over = true;
        kill(dead);
      },
    };
  };

interface BgStart {
  command: string;
  label?: string;
  timeout?: number;
  network?: boolean;
}
interface BgOutput {
  id: string;
  lines?: number;
  stream?: 'stdout' | 'stderr' | 'both';
  since_last_read?: boolean;
}

const LINES = 50;
const CHUNKS_MAX = 1_000;

const lineOf = (p: ReturnType<typeof toProcess>): string => {
  const how = p.exitCode === null ? p.state : `${p.state}, exit code ${p.exitCode}`;
  const what = p.command.split('\n')[0]?.slice(0, 120) ?? '';
  return `${p.processId}${p.label === undefined ? '' : ` (${p.label})`}: ${how}, ${(p.runtimeMs / 1_000).toFixed(1)} s, pid ${p.pid}: ${what}`;
};

/** The last lines, what is unfinished included, within the bound; what is not shown is said. */
const shownOf = (
  chunks: BackgroundChunk[],
  lines: number,
  head: string,
  hasMore: boolean,
  bytesMax: number,
): ToolResult => {
  const text = chunks
    .map((c) => `${c.leftOut === undefined ? '' : `[${c.leftOut} characters are left out here]`}${c.text}`)
    .join('');
  const whole = text.split('\n');
  const open = whole.at(-1) === '' ? 1 : 0;
  const last = whole.slice(-(lines + open)).join('\n');
  const shown = last.length <= bytesMax ? last : last.slice(-bytesMax).replace(/^[\udc00-\udfff]/, '');
  const hidden = text.length - shown.length;
  const notes = [
    head,
    ...(hidden > 0 ? [`${hidden} characters before this are not shown`] : []),
    ...(hasMore ? ['more follows'] : []),
  ];
  const gap = shown === '' || shown.endsWith('\n') ? '' : '\n';
  return {
    result: `${shown}${gap}[${notes.join('; ')}]`,
    isError: false,
    ...(hidden > 0 ? { truncatedFrom: text.length } : {}),
  };
};
