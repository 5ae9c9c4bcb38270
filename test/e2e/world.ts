import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LIMITS } from '../../src/actors/limits.ts';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import { isTerminal, type LogRecord } from '../../src/protocol/events.ts';
import { LogChecker } from '../sim/log-checker.ts';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.ts';
import { type Directive, type FakeLmx, type FakeLmxOptions, startFakeLmx } from '../support/fake-lmx.ts';

/** A daemon over a fake inference server, and a workspace. */
export interface World {
  lmx: FakeLmx;
  daemon: Daemon;
  workspace: string;
  close(): Promise<void>;
}

export const openWorld = async (options: DaemonOptions & { lmx?: FakeLmxOptions } = {}): Promise<World> => {
  const { lmx: lmxOptions, ...daemonOptions } = options;
  const lmx = await startFakeLmx(lmxOptions);
  const workspace = mkdtempSync(join(tmpdir(), 'opta-e2e-work-'));
  const gone = (): void => rmSync(workspace, { recursive: true, force: true });
  try {
    const daemon = await startDaemon({ ...daemonOptions, lmxPort: lmx.port });
    return {
      lmx,
      daemon,
      workspace,
      close: async () => {
        await daemon.dispose();
        await lmx.close();
        gone();
      },
    };
  } catch (cause) {
    await lmx.close();
    gone();
    throw cause;
  }
};

/** A prompt that tells the fake server how to answer it. */
export const say = (directive: Directive, words = 'go'): string => `${words} @@${JSON.stringify(directive)}@@`;

/** Real time: a crash and a restart may lie between a cancel and its end. */
const BOUNDS = {
  cancelDeadlineMs: 60_000,
  queueTurnsMax: LIMITS.queueTurnsMax,
  backgroundSessionMax: LIMITS.backgroundSessionMax,
};

/**
 * Reads a stored log with the simulator's oracle, which knows nothing of the actors: numbering, schemas, one turn at a time,
 * start order, one terminal event, permissions before tools. `quiet`: every turn must have ended.
 */
export const checkedLog = (
  sessionId: string,
  texts: readonly string[],
  quiet = true,
): { checker: LogChecker; records: LogRecord[]; violations: string[] } => {
  const violations: string[] = [];
  const checker = new LogChecker(sessionId, BOUNDS, (v) => violations.push(v));
  const records = texts.map((text) => decodeEnvelope(text).record);
  texts.forEach((text, i) => {
    const r = records[i] as LogRecord;
    // The oracle's clock stands still while something is decided; a real timer fires a little after its time.
    if (r.event === 'permission.resolved' && r.payload.reason === 'timeout') checker.excuse();
    checker.add(text);
  });
  if (quiet) checker.quiet();
  return { checker, records, violations };
};

export const turnIdOf = (r: LogRecord): string | undefined => ('turnId' in r.payload ? r.payload.turnId : undefined);

export const ofTurn = (records: readonly LogRecord[], turnId: string): LogRecord[] =>
  records.filter((r) => turnIdOf(r) === turnId);

export const endsOf = (records: readonly LogRecord[], turnId: string): LogRecord[] =>
  ofTurn(records, turnId).filter(isTerminal);

/** Text of a turn as its readers saw it. */
export const textOf = (records: readonly LogRecord[], turnId: string): string =>
  records.map((r) => (r.event === 'turn.token' && r.payload.turnId === turnId ? r.payload.text : '')).join('');
