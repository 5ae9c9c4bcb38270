/** Bounds of the inference server. Times in milliseconds. */
export const LMX_LIMITS = {
  /** A request that has no slot after this is refused with 429. */
  slotWaitMs: 30_000,
  queueMax: 256,
  /** From the slot to the end of the answer. */
  answerMs: 600_000,
  /** Of one answer, in characters: an engine that finds no end fills no memory. */
  answerCharsMax: 32 << 20,
  /** What an engine may take to bring a model up, and then for the first words of the self-test. */
  loadMs: 300_000,
  canaryMs: 60_000,
  canaryTokens: 4,
  /** An unload waits this long for the requests of its model, and then cancels them. */
  unloadWaitMs: 60_000,
  /** What an engine may take to let go of a model before its process is killed. */
  unloadMs: 15_000,
  /** Model that was lost: first wait, doubled each time up to the last; after `crashesMax` in a row it is quarantined. */
  restartBaseMs: 500,
  restartMaxMs: 15_000,
  crashesMax: 3,
  /** A model that has run for this long has no crashes behind it any more. */
  crashWindowMs: 300_000,
  retryAfterMs: 2_000,
  clientNamesMax: 64,
  clientNameCharsMax: 64,
  modelsMax: 256,

  // The wires
  bodyBytesMax: 32 << 20,
  frameBytesMax: 32 << 20,
  /** Bodies on their way, all together. */
  bodiesBytesMax: 256 << 20,
  requestsPerSocketMax: 16,
  socketsMax: 256,
  keepaliveMs: 10_000,
  /** A socket without an active request is closed after this. */
  socketIdleMs: 300_000,
  /** A browser's first frame, which brings its key. */
  authMs: 5_000,
  /** Above this backlog generations are paused; a reader that takes nothing for `readerMs` is let go. */
  backlogBytes: 256 * 1024,
  readerMs: 30_000,
  /** Hard bound of one socket's backlog. */
  socketBytesMax: 8 << 20,
  /** Without a sign of life from the peer, pongs included. */
  socketSilentMs: 40_000,
  eventStreamsMax: 50,
  heartbeatMs: 15_000,
  drainMs: 30_000,
  /** What an engine may take to close. */
  closeMs: 10_000,
} as const;

export type LmxLimits = { [name in keyof typeof LMX_LIMITS]: number };
