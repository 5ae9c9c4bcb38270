/** The figures of one run. Counts are over all rounds. */
export interface TortureReport {
  rounds: number;
  seed: number;
  violations: string[];
  kills: { [plan: string]: number };
  /** Rounds in which the moment of the plan did not come in time; they were killed all the same. */
  missed: number;
  sessions: number;
  eventsStored: number;
  /** By two sockets of each session, between load and kill. */
  framesSeenBeforeKills: number;
  submitsAcked: number;
  createsAcked: number;
  cancelsAcked: number;
  decisionsAcked: number;
  interrupted: number;
  interruptedWithText: number;
  queuedResumed: number;
  toolProcessesKilled: number;
  startMs: { p50: number; max: number };
  seconds: number;
}
