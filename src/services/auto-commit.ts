import { randomBytes } from 'node:crypto';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log, Processes, StoredRecord } from '../actors/ports.ts';
import type { EventPayload } from '../protocol/events.ts';
import type { FileChange } from '../protocol/files.ts';
import type { SessionState } from '../protocol/session-state.ts';
import { COMMIT_SCRIPT } from '../tools/git/commit-script.ts';
import { printable } from '../tools/outcome.ts';
import { recordsOf } from './published.ts';

/**
 * [TL11] Commits what a turn wrote when it is done, where the user asks for it (`git.autoCommit`): its files alone, and never what somebody
 * else did to them. The session's next call waits for it. What became of it is on record.
 */
export interface AutoCommit {
  published(sessionId: string, records: readonly StoredRecord[]): void;
  /** What the session's next call waits for. */
  pending(sessionId: string): Promise<void> | undefined;
  close(): Promise<void>;
}

interface World {
  clock: Clock;
  log: Log;
  processes: Pick<Processes, 'start' | 'confine'>;
  isOn: boolean;
  stateOf: (sessionId: string) => SessionState | null;
  record: (sessionId: string, fact: EventPayload<'files.committed'>) => void;
}

const TITLE_CHARS = 72;
const SAID_CHARS = 64 * 1024;
const WHY_CHARS = 1_000;

export const createAutoCommit = (world: World): AutoCommit => {
  /** Of the turns that run: how their commits would be named; null for one that asked for none. */
  const titles = new Map<string, string | null>();
  const running = new Map<string, Promise<void>>();
  const ends = new Set<() => void>();

  const commit = (sessionId: string, turnId: string, title: string): void => {
    const state = world.stateOf(sessionId);
    const files = state?.files?.find((one) => one.turnId === turnId);
    const { workspace } = state ?? {};
    if (files === undefined || workspace === undefined) return;
    const tell = (found: Found): void => world.record(sessionId, { ofTurn: turnId, ...found });
    const problem = files.more ? 'it changed more files than are remembered' : problemOf(files.changes);
    if (problem !== null) return tell({ commit: null, paths: [], why: problem });
    const at = { workspace, network: false };
    if (!world.processes.confine(at)) return tell({ commit: null, paths: [], why: 'commands cannot be confined here' });
    const message = `${title}\n\nOpta-Session: ${sessionId}\nOpta-Turn: ${turnId}\n`;
    const before = running.get(sessionId) ?? Promise.resolve();
    const tail = before
      .then(() => start(at, message, files.changes))
      .then(tell, (cause: unknown) =>
        world.log.error('a commit could not be made', { sessionId, reason: String(cause) }),
      );
    running.set(sessionId, tail);
    void tail.then(() => {
      if (running.get(sessionId) === tail) running.delete(sessionId);
    });
  };

  const start = (at: { workspace: string; network: boolean }, message: string, changes: readonly FileChange[]) =>
    new Promise<Found>((resolve) => {
      const args = changes.flatMap(({ path, before, after }) => [path, before?.blob ?? '-', after?.blob ?? '-']);
      let said = '';
      let isOver = false;
      const over = (found: Found): void => {
        world.clock.clearTimeout(timer);
        ends.delete(end);
        resolve(found);
      };
      const handle = world.processes.start(
        {
          processId: `commit_${randomBytes(9).toString('base64url')}`,
          argv: ['/bin/sh', '-c', COMMIT_SCRIPT, 'opta', message, ...args],
          cwd: at.workspace,
          model: { confine: at },
        },
        {
          // Ended before there was a process: it begins nothing.
          spawned: () => (isOver ? handle.signal('SIGKILL') : handle.go()),
          output: (_stream, text) => {
            said = (said + text).slice(0, SAID_CHARS);
          },
          gone: ({ exitCode }) => over(exitCode === 0 ? foundIn(said) : notDone(said, exitCode)),
          failed: (error) => over({ commit: null, paths: [], why: error.message }),
        },
      );
      const end = (): void => {
        isOver = true;
        handle.signal('SIGKILL');
      };
      const timer = world.clock.setTimeout(end, LIMITS.gitCommitMs);
      ends.add(end);
    });

  return {
    published(sessionId, records) {
      if (!world.isOn) return;
      for (const { event, payload } of recordsOf(records, ['turn.start', 'turn.done', 'turn.error'])) {
        if (event === 'turn.start') {
          const active = world.stateOf(sessionId)?.active;
          if (active?.turnId === payload.turnId)
            titles.set(payload.turnId, active.overrides?.noCommit ? null : titleOf(active.content));
        } else {
          const title = titles.get(payload.turnId);
          titles.delete(payload.turnId);
          if (event === 'turn.done' && title) commit(sessionId, payload.turnId, title);
        }
      }
    },
    pending: (sessionId) => running.get(sessionId),
    async close() {
      for (const end of ends) end();
      await Promise.all(running.values());
    },
  };
};

type Found = Omit<EventPayload<'files.committed'>, 'ofTurn'>;

const problemOf = (changes: readonly FileChange[]): string | null => {
  if (changes.length > LIMITS.commitFilesMax) return `it changed more than ${LIMITS.commitFilesMax} files`;
  if (changes.some(({ path }) => /[\n\0]/.test(path))) return 'a path has a line break in it';
  const unknown = changes.find(({ before, after }) => before?.blob === null || after?.blob === null);
  return unknown ? `${printable(unknown.path)} was too large to be kept` : null;
};

const titleOf = (content: string): string => {
  const line = printable(content.trim().split('\n')[0] ?? '').trim();
  const title = line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line;
  return title === '' ? 'Changes of a turn' : title;
};

const foundIn = (said: string): Found => {
  const [commit = '', ...paths] = said.trimEnd().split('\n');
  return { commit, paths };
};

const notDone = (said: string, exitCode: number | null): Found => {
  const why = exitCode === null ? 'it took too long' : printable(said.trim()).slice(0, WHY_CHARS);
  return { commit: null, paths: [], why: why || `exit code ${exitCode}` };
};
