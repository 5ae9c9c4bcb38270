import type { Limits } from './limits.ts';
import type { Gauge } from './runtime.ts';

export interface Levels {
  sessionsLive: number;
  tailBytes: number;
  answersPending: number;
  attachments: number;
  storageFailures: number;
}

/** What is held now, each beside its bound ([SV3]). */
export const gauges = (limits: Limits, now: Levels): Gauge[] => [
  { name: 'sessions_live', value: now.sessionsLive, max: limits.sessionsLiveMax, help: 'Sessions held in memory' },
  {
    name: 'tail_bytes',
    value: now.tailBytes,
    max: limits.tailBytesMax,
    help: 'Recorded bytes that are not committed yet',
  },
  {
    name: 'answers_pending',
    value: now.answersPending,
    max: limits.answersPendingMax,
    help: 'Commands that wait for their answer',
  },
  { name: 'attachments', value: now.attachments, max: limits.attachmentsMax, help: 'Attached readers' },
  { name: 'storage_failures_total', value: now.storageFailures, help: 'Failed commits since the start' },
];
