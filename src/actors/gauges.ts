import type { Attachments } from './effects/attachments.ts';
import type { Limits } from './limits.ts';
import type { Registry } from './registry.ts';
import type { Gauge } from './runtime.ts';

/** Where the levels are read. */
export interface Watched {
  registry: Pick<Registry, 'slots'>;
  journal: { readonly tailBytes: number };
  asks: { readonly size: number };
  attachments: Pick<Attachments, 'total' | 'levels'>;
  /** The deltas that streams have gathered, one for each stream that runs. */
  gates: ReadonlySet<{ readonly size: number }>;
  /** When each session crashed, oldest first. */
  crashes: ReadonlyMap<string, readonly number[]>;
  now: number;
  storageFailures: number;
  processes: number;
}

/** What is held now, each beside its bound ([SV3]). Where a bound is for each session or stream, the fullest one counts. */
export const gauges = (limits: Limits, w: Watched): Gauge[] => {
  const { ringFrames, ringBytes, pagesBytes } = w.attachments.levels();
  const s = sessionLevels(w.registry);
  const restarts = [...w.crashes.values()].map((at) => at.filter((ms) => ms > w.now - limits.restartWindowMs).length);
  const of = (name: string, limit: keyof Limits, value: number, help: string): Gauge => ({
    name,
    value,
    max: limits[limit],
    limit,
    help,
  });
  return [
    of('sessions_live', 'sessionsLiveMax', w.registry.slots.size, 'Sessions held in memory'),
    of('tail_bytes', 'tailBytesMax', w.journal.tailBytes, 'Recorded bytes that are not committed yet'),
    of('answers_pending', 'answersPendingMax', w.asks.size, 'Commands that wait for their answer'),
    of('attachments', 'attachmentsMax', w.attachments.total, 'Attached readers'),
    of('queue_turns', 'queueTurnsMax', s.queue, 'Turns that wait in one session'),
    of('idempotency_keys', 'idempotencyKeysMax', s.keys, 'Idempotency keys of one session'),
    of('turn_steps', 'turnStepsMax', s.steps, 'Steps of one running turn'),
    of('turn_calls', 'turnCallsMax', s.calls, 'Tool calls of one running turn'),
    of('step_calls', 'stepCallsMax', s.stepCalls, 'Tool calls of one step'),
    of('step_text_chars', 'stepTextCharsMax', s.textChars, 'Text of one step'),
    of('inbox_commands', 'inboxCommandsMax', s.inbox, 'Commands that wait for one session to be loaded'),
    of('gate_chars', 'gateCharsMax', fullest([...w.gates].map((g) => g.size)), 'Deltas of one stream that wait'),
    of('background_processes', 'backgroundMax', w.processes, 'Background processes'),
    of('background_of_session', 'backgroundSessionMax', s.processes, 'The same of one session'),
    of('ring_frames', 'ringFramesMax', ringFrames, 'Recent events of one session that are kept'),
    of('ring_bytes', 'ringBytesMax', ringBytes, 'The same in bytes'),
    of('shared_pages_bytes', 'sharedPagesBytesMax', pagesBytes, 'Pages of the log kept for readers that catch up'),
    of('restarts', 'restartsMax', fullest(restarts), 'Restarts of one session within the window'),
    { name: 'storage_failures_total', value: w.storageFailures, help: 'Failed commits since the start' },
  ];
};

const fullest = (levels: readonly number[]): number => levels.reduce((most, level) => Math.max(most, level), 0);

const sessionLevels = ({ slots }: Pick<Registry, 'slots'>) => {
  const most = { queue: 0, keys: 0, steps: 0, calls: 0, stepCalls: 0, textChars: 0, inbox: 0, processes: 0 };
  const raise = (name: keyof typeof most, level: number): void => {
    if (level > most[name]) most[name] = level;
  };
  for (const slot of slots.values()) {
    if ('inbox' in slot) raise('inbox', slot.inbox.length);
    if (slot.state !== 'live') continue;
    const { f, jobs } = slot.actor.getSnapshot().context;
    const { queue, keys, active } = f;
    raise('processes', jobs.length);
    raise('queue', queue.length);
    raise('keys', keys.length);
    if (!active) continue;
    raise('steps', active.step);
    raise('calls', active.toolCalls);
    raise('stepCalls', active.calls.length);
    raise('textChars', active.text.length);
  }
  return most;
};
