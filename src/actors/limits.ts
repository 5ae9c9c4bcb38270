/**
 * Every bound of the runtime, with its unit, in one place ([SV3]). `…Max` is a count or bytes, `…Ms` is milliseconds.
 * Each is reported by `/v3/metrics` and `/metrics`: what fills up with how full it is, the others as settings.
 */
export const LIMITS = {
  // Sessions and turns
  queueTurnsMax: 64,
  turnStepsMax: 250,
  turnCallsMax: 400,
  /** Prompt and answer tokens of all its model calls, as the server counts them. */
  turnTokensMax: 50_000_000,
  /** So often in a row may the same step, or cycle of steps, come with the same results. */
  turnRepeatsMax: 5,
  /** Calls of one turn that run at once; only those that change nothing do. */
  turnParallelMax: 8,
  /** How long a turn waits for what its workspace brings. */
  turnOpenMs: 10_000,
  /** Context of a model, in tokens, whose server does not say it; and the most that is used of any. */
  contextTokensMax: 32_768,
  contextTokensCeiling: 1_000_000,
  /** From this share of it on, the conversation is shortened. */
  contextCompactPercent: 70,
  /** How often in one turn the older part of it is summarised. */
  turnCompactionsMax: 20,
  stepCallsMax: 32,
  turnDurationMs: 60 * 60_000,
  contentBytesMax: 4 << 20,
  /** Idempotency keys of one session, kept for its life; one more is refused rather than an old one forgotten ([TQ5]). */
  idempotencyKeysMax: 50_000,
  /** Metadata of a session after a change, as JSON. */
  metadataCharsMax: 1 << 20,
  sessionsLiveMax: 10_000,
  inboxCommandsMax: 256,
  /** An idle session's actor is stopped after this; its log stays. */
  passivateAfterMs: 60_000,

  // Cancel
  /** From an accepted cancel to the terminal event, whatever the turn waited for. */
  cancelDeadlineMs: 5_000,
  toolKillDeadlineMs: 3_000,

  // Permissions
  permissionDeadlineMs: 120_000,

  /** One file of rules of a workspace; more of it is cut. */
  ruleFileBytesMax: 32 * 1024,

  // Streams
  firstDeltaDeadlineMs: 120_000,
  deltaGapDeadlineMs: 60_000,
  streamRetriesMax: 3,
  streamRetryBaseMs: 250,
  /** One `turn.token` carries at most this many characters of text. */
  tokenCharsMax: 16_384,
  /** Deltas gathered while the session has an uncommitted tail; above it the stream's source is paused. */
  gateCharsMax: 256 * 1024,
  stepTextCharsMax: 8 << 20,

  // Inference engines (the adapters; a step's own deadlines stand under Streams)
  inferenceConnectMs: 5_000,
  /** One look at a server: identity, loaded models, the body of a refusal. */
  inferenceProbeMs: 2_000,
  inferenceProbeBytesMax: 1 << 20,
  /** A socket on which nothing at all arrived for this long is given up, whoever else waits for it. */
  inferenceSilenceMs: 600_000,
  inferencePingMs: 15_000,
  /** For servers that promise signs of life: until a request is accepted, and between two frames of it. */
  inferenceAcceptMs: 15_000,
  inferenceFrameGapMs: 30_000,
  /** A shared socket without a request is kept this long. */
  inferenceLinkIdleMs: 60_000,
  /** Frames of one request that are held while its session does not take them; above it the socket is not read. */
  inferenceHeldBytesMax: 1 << 20,
  /** Among several hosts: how long the first has before another that answers is taken, and how long one that failed is passed over. */
  inferenceHostGraceMs: 75,
  inferenceHostCooldownMs: 20_000,
  inferenceHostFailuresMax: 2,
  /** From `finish_reason` to the end of the answer, for a server that then keeps the connection open. */
  inferenceSettleMs: 2_000,
  /** One WebSocket frame, one line of an event stream, or one JSON answer. */
  inferenceFrameBytesMax: 8 << 20,
  inferenceIdentityCacheMs: 30_000,
  inferenceModelsCacheMs: 10_000,
  /** A server without WebSockets is asked for them again after this. */
  inferenceWsRetestMs: 60_000,
  inferenceRetryAfterMsMax: 120_000,
  // Its administration: one try of what it knows by heart, a whole read with its tries, a change.
  lmxQuickMs: 8_000,
  lmxReadMs: 30_000,
  lmxChangeMs: 120_000,
  lmxTriesMax: 3,
  lmxRetryBaseMs: 100,
  lmxAnswerBytesMax: 4 << 20,
  lmxModelsCacheMs: 4_500,
  lmxCallsMax: 64,

  // Tools
  toolDeadlineMs: 120_000,
  toolOutputBytesMax: 256 * 1024,
  toolArgsBytesMax: 4 << 20,
  toolJobsMax: 4,
  /** Jobs that wait for one of the `toolJobsMax` processes; one more is refused. */
  toolQueueMax: 1_024,
  /** A tool process without work is ended after this. */
  toolIdleMs: 60_000,
  toolHeapMbMax: 512,
  toolPathBytesMax: 4_096,
  /** What the model may ask of people, and the answers it may propose. */
  questionCharsMax: 8_000,
  optionsMax: 20,
  optionCharsMax: 500,
  toolPathDepthMax: 128,
  toolPathLinksMax: 32,
  /** Larger files are not edited; they can still be read in part. */
  toolEditBytesMax: 16 << 20,
  /** How far `read_file` goes on to count what it does not show. */
  toolScanBytesMax: 256 << 20,
  toolListEntriesMax: 2_000,
  toolWalkEntriesMax: 200_000,
  toolMatchesMax: 200,
  toolHitsMax: 20_000,
  toolMatchCharsMax: 400,
  toolSearchMs: 20_000,
  /** One try of the sandbox, when the daemon starts. */
  sandboxProbeMs: 3_000,
  /** Commands of the model, over all sessions; one more waits. */
  commandsMax: 16,
  commandCharsMax: 64 * 1024,
  commandDefaultMs: 120_000,
  commandDeadlineMs: 600_000,
  /** From SIGTERM to SIGKILL, for a cancel or a time-out. */
  commandGraceMs: 1_000,
  /** Of a command's output the model is shown the first and the last half of this. */
  commandShownBytesMax: 48 * 1024,
  /** All of it is kept in a file up to this, for a day, and of all commands together up to the sum. */
  commandOutputBytesMax: 16 << 20,
  outputsBytesMax: 256 << 20,
  outputsKeptMs: 24 * 3_600_000,
  /** Earlier contents of files, for undo: all together, and how long one is kept after it was last needed. */
  versionsBytesMax: 1 << 30,
  versionsKeptMs: 30 * 24 * 3_600_000,
  /** What git says in answer to one question, and what of the workspace it is given to compare. */
  toolGitBytesMax: 16 << 20,
  /** One page of the web, unpacked; and how long all its redirects may take together. */
  toolFetchBytesMax: 2 << 20,
  toolFetchMs: 30_000,
  toolFetchRedirectsMax: 5,

  /** A task that is handed on; its turn has the bounds of any turn besides. */
  agentDeadlineMs: 30 * 60_000,
  delegatedTasksMax: 5,
  /** How often a turn shortens what it sends because the server says that it is too long. */
  turnRefitsMax: 3,

  // Servers of tools
  /** How long a turn waits for them; how long one may take to start; and how long one is kept that nobody needs. */
  servicesOpenMs: 8_000,
  servicesStartMs: 20_000,
  servicesIdleMs: 10 * 60_000,
  /** Between two tries of one that ends. */
  servicesPauseMaxMs: 60_000,
  serviceToolsMax: 100,
  /** Hooks that run at one moment, those that wait for it, and what one may say. */
  hooksRunningMax: 8,
  hooksWaitingMax: 200,
  hookSaidCharsMax: 2_048,
  /** Of one commit of what a turn wrote; more is not committed. */
  commitFilesMax: 200,
  gitCommitMs: 30_000,
  /** What of a call a hook has in its environment; all of it is on its standard input. */
  hookEnvCharsMax: 32_768,
  /** Arguments of a tool that a project brings: they are one value of an environment. */
  projectToolArgsBytesMax: 96 * 1024,
  serviceTextCharsMax: 4_000,
  serviceSchemaCharsMax: 20_000,

  // Background processes
  backgroundSessionMax: 5,
  backgroundMax: 64,
  backgroundTimeoutMs: 300_000,
  /** From the command to a process that waits for its record. */
  backgroundStartMs: 5_000,
  /** From a polite signal to SIGKILL, for a kill and a time-out; and when the daemon stops. */
  backgroundGraceMs: 3_000,
  backgroundStopGraceMs: 1_000,
  /** What is kept of one process's output, each chunk counted with 256 characters more for its record. */
  backgroundOutputCharsMax: 8 << 20,
  /** Its last words, which are kept beyond that. */
  backgroundTailCharsMax: 64 * 1024,
  /** How long the pipes of a process that has ended are still read. */
  backgroundSettleMs: 500,

  // Journal and storage
  /** Uncommitted bytes over all sessions; above it new turns are refused. */
  tailBytesMax: 64 << 20,
  commitDeadlineMs: 15_000,
  flushDeadlineMs: 15_000,
  answersPendingMax: 10_000,
  snapshotEveryRecords: 512,
  readPageRecordsMax: 500,
  readPageBytesMax: 1 << 20,
  storageReopenBackoffMs: 500,
  diskFreeBytesMin: 64 << 20,
  /** A deleted session can be taken back for this long; then what it has stored is removed. */
  deletedRetentionMs: 30 * 24 * 3_600_000,
  purgeEveryMs: 3_600_000,
  /** Records removed in one transaction. */
  purgeRecordsMax: 500,
  /** Sessions that one page of a search looks at. */
  searchScanMax: 2_000,

  // Event plane
  attachmentsMax: 12_000,
  /** Bytes waiting in one socket before its reader is fed from the log instead. */
  readerBytesMax: 1 << 20,
  /** A reader that takes nothing for this long is closed with `slow-reader`. */
  readerStallMs: 60_000,
  /** Between two presence frames that only say how far readers have come. */
  presenceEveryMs: 1_000,
  /** Comings and goings within this time are told together. */
  presenceGatherMs: 50,
  /** Attachments named in one presence frame; it also says how many there are. */
  presenceEntriesMax: 100,
  /** Committed frames kept in memory a live session, so that an attach near the head reads no disk. */
  ringFramesMax: 512,
  ringBytesMax: 256 * 1024,
  /** Pages of the log kept for readers that catch up together, over all sessions. */
  sharedPagesBytesMax: 4 << 20,

  // Transport
  requestBytesMax: 10 << 20,
  frameBytesMax: 10 << 20,
  urlCharsMax: 8_192,
  idPathCharsMax: 100,
  socketIdleMs: 120_000,
  askDeadlineMs: 20_000,
  /** Request bodies being read at one moment, over all connections. */
  bodiesBytesMax: 64 << 20,
  /** One answer of `/events`; above it the answer says `more`. */
  eventsReplyBytesMax: 16 << 20,
  /** Event streams over HTTP that are open at one moment. */
  streamsMax: 2_000,
  /** Logs that are being written out at one moment; each holds a page of what its client has not taken. */
  exportsMax: 16,
  /** Named operations that run at one moment. */
  namedOperationsMax: 16,
  /** One named operation, unless its row says another. */
  namedOperationMs: 60_000,
  /** Requests that wait for their turn to end (`POST /v1/chat`), each with the text so far; and how long one does. */
  chatWaitsMax: 256,
  chatWaitMs: 30 * 60_000,
  streamPingMs: 15_000,
  // Rights of pages. The oldest gives way to one more.
  webTicketMs: 60_000,
  webTicketsMax: 16,
  webKeysMax: 64,
  /** A key ends after this, however much it is used, and earlier when it is not used. */
  webKeyMs: 7 * 24 * 3_600_000,
  webKeyIdleMs: 12 * 3_600_000,
  /** What is known of their use is written this often at most. */
  webKeysSaveMs: 60_000,
  webKeysFileCharsMax: 64 * 1024,
  /** Tickets refused within `webTicketMs`. */
  webRefusalsMax: 30,
  /** A health stream says the same again after this. */
  healthStreamEveryMs: 5_000,
  /** While one is open, changes are looked for this often. */
  healthStreamLookMs: 500,
  /** A dashboard's feed: how often changes are looked for, and how often figures that always move are told. */
  overviewLookMs: 250,
  overviewEveryMs: 2_000,
  /** While somebody watches, the inference host is asked for its models this often at most; and how long that may take. */
  overviewModelsEveryMs: 15_000,
  overviewModelsMs: 5_000,
  /** What a watcher of the actors may have to take before it is told nothing more, and later all anew. */
  inspectBytesMax: 256 * 1024,
  /** Commands of one socket that wait for their answer. */
  socketCommandsMax: 64,
  /** Backlog of one socket, acks and events together; a socket above it is closed with `slow-reader`. */
  socketBytesMax: 32 << 20,
  // The next seven are what a connection may cost before and after a plane sees it, over `ws`. uWebSockets.js brings its own, which
  // cannot be set: it gives up a head, a body, an idle connection or a stream that nobody takes after some 12 seconds, and counts none.
  /** Connections of both planes together; one more is dropped. Leaves room for requests beside `attachmentsMax`. */
  connectionsMax: 14_000,
  requestHeadBytesMax: 16 << 10,
  requestHeadMs: 10_000,
  /** From a request's first byte to the last of its body. */
  requestReceiveMs: 60_000,
  /** A kept connection between two requests. */
  connectionIdleMs: 10_000,
  /** An answer of which nothing is taken. A request may wait for its answer as long as its handler says, and a stream be quiet. */
  connectionStallMs: 60_000,
  /** After the last frame or text of a socket or stream: how long its backlog may take. */
  connectionLingerMs: 30_000,

  // Supervision
  restartsMax: 3,
  restartWindowMs: 10_000,
  restartBackoffBaseMs: 50,
  restartBackoffMaxMs: 2_000,
  /** How long a running turn may go on once the daemon was asked to stop; part of `drainDeadlineMs`. */
  drainGraceMs: 1_500,
  drainDeadlineMs: 4_000,
} as const;

export type Limits = { [K in keyof typeof LIMITS]: number };
