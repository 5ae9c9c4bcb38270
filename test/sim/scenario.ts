import type { Dispatch } from '../../src/transport/dispatch.ts';
import { checkStopped, killProcess, readOutput, startProcess } from './background-commands.ts';
import type { SimClient } from './client.ts';
import { World } from './world.ts';

/** One seeded life of a small world: random commands and faults, then peace, then everything must have come to its end. */
export interface Outcome {
  seed: number;
  sessions: number;
  steps: number;
  records: number;
  violations: string[];
  /** Digest of all logs: the same seed gives the same. */
  digest: number;
}

export const simulate = async (seed: number, operations = 60, dump?: (world: World) => void): Promise<Outcome> => {
  const world = new World(seed, 2, 4);
  const { random } = world;
  const calm = random.chance(0.3);
  world.poison = !calm;
  if (random.chance(0.2)) world.faults.slow = 0.5;
  try {
    await live(world, operations, calm);
  } catch (cause) {
    world.report(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
  }
  dump?.(world);
  return outcome(world, seed);
};

const live = async (world: World, operations: number, calm: boolean): Promise<void> => {
  const { random } = world;
  world.boot();
  await world.settle(200);
  await create(world);
  // Where nothing else moves, time jumps to the next deadline: people who are to be quicker than that do it by themselves.
  for (const client of world.clients) {
    client.onAsked = () => {
      if (random.chance(0.5)) world.outside.setTimeout(() => decide(world, client), random.int(1, 700));
    };
    client.onCall = (turnId, callId) => {
      const inMs = random.chance(0.6) ? random.int(0, 15) : random.int(15, 400);
      if (random.chance(0.12)) world.outside.setTimeout(() => cancelCall(world, client, turnId, callId), inMs);
    };
  }
  for (let i = 0; i < operations; i++) {
    await operate(world, calm);
    await world.settle(random.chance(0.2) ? random.int(20, 200) : random.int(0, 12));
    if (world.violations.length > 0) break;
  }
  if (world.violations.length === 0) await peace(world);
};

const WRITERS = ['w1', 'w2', 'w3'];

const create = async (world: World): Promise<void> => {
  for (const sessionId of world.sessionIds) {
    void world.daemon?.dispatch('sessions.create', {
      params: {},
      query: {},
      body: { sessionId, metadata: { workspace: '/w' } },
    });
  }
  await world.settle(60);
};

const operate = async (world: World, calm: boolean): Promise<void> => {
  const { random } = world;
  const op = random.weighted({
    submit: 22,
    cancel: 8,
    decide: 12,
    attach: 14,
    cut: 4,
    slow: 2,
    garbage: 2,
    read: 3,
    retry: 4,
    queue: 4,
    settings: 1,
    remove: 1,
    restore: 2,
    fork: world.disk.sessions().length < 5 ? 1 : 0,
    recreate: 1,
    start: 5,
    end: 5,
    output: 2,
    restart: world.daemon ? 0 : 30,
    kill: calm ? 0 : 2,
    power: calm ? 0 : 1,
    stop: 1,
    failing: calm ? 0 : 2,
    full: calm ? 0 : 1,
    storm: 1,
    crowd: 1,
  });
  const client = random.pick(world.clients);
  switch (op) {
    case 'submit':
      return submit(world, client);
    case 'cancel':
      return cancel(world, client);
    case 'decide':
      return decide(world, random.pick([client, ...asking(world)]));
    case 'attach':
      if (world.daemon?.ready && !client.attached) client.attach();
      return;
    case 'cut':
      return client.cut();
    case 'slow':
      client.slow = random.chance(0.5);
      return;
    case 'garbage':
      return client.sendRaw(random.pick(['{', 'null', '[]', '{"type":"turn.submit"}', '{"type":"x"}', null]));
    case 'read':
      return read(world, client.sessionId);
    case 'retry':
      return retry(world);
    case 'queue':
      return queue(world, longestQueue(world));
    case 'settings':
      return call(world, 'sessions.patch', client.sessionId, {
        title: random.pick(['a', 'b', null]),
        metadata: { [random.pick(['x', 'y'])]: random.pick([1, null]) },
        ...(random.chance(0.4) ? { forget: [random.pick(['write', 'exec', 'read'])] } : {}),
      });
    case 'remove':
      return call(world, 'sessions.delete', client.sessionId);
    case 'restore':
      return call(world, 'sessions.undelete', client.sessionId, {});
    case 'fork': {
      const head = world.checker(client.sessionId).head;
      return call(world, 'sessions.fork', client.sessionId, {
        sessionId: world.id('fork-'),
        ...(head > 0 && random.chance(0.7) ? { atSeq: random.int(1, head) } : {}),
      });
    }
    case 'recreate':
      void world.daemon?.dispatch('sessions.create', { params: {}, query: {}, body: { sessionId: client.sessionId } });
      return;
    case 'start':
      return startProcess(world, client.sessionId);
    case 'end':
      return killProcess(world, client.sessionId);
    case 'output':
      return readOutput(world, client.sessionId);
    case 'restart':
      if (world.daemon) return;
      // A daemon that comes up on a disk that fails.
      if (!calm && random.chance(0.25)) world.faults.failing = 0.5;
      world.boot();
      return;
    case 'kill':
      return world.crash(false);
    case 'power':
      return world.crash(true);
    case 'stop':
      return stop(world);
    case 'failing':
      world.faults.failing = random.chance(0.5) ? 0 : 0.1;
      world.excuse();
      return;
    case 'full':
      world.faults.full = random.chance(0.4);
      world.excuse();
      return;
    case 'storm':
      for (let i = 0; i < 6; i++) submit(world, random.pick(world.clients));
      return;
    case 'crowd':
      return crowd(world, client);
  }
};

/** Several writers wait at one session, and change what waits. */
const crowd = async (world: World, client: SimClient): Promise<void> => {
  const { random } = world;
  for (let i = 0; i < 7; i++) submit(world, client);
  for (let i = 0; i < 4; i++) {
    await world.settle(random.int(1, 6));
    queue(world, client.sessionId);
  }
};

/** Most sessions have nothing that waits most of the time. */
const longestQueue = (world: World): string => {
  const length = (id: string) => world.checker(id).state.queue.length;
  return world.clients.map((c) => c.sessionId).reduce((a, b) => (length(b) > length(a) ? b : a));
};

const submit = (world: World, client: SimClient): void => {
  const { random } = world;
  if (!client.attached) return;
  const content = world.id('task-');
  const key = random.chance(0.3) ? { idempotencyKey: world.id('key-') } : {};
  const frame = {
    type: 'turn.submit',
    sessionId: client.sessionId,
    clientId: 'sim',
    writerId: random.pick(WRITERS),
    content,
    mode: random.pick(['chat', 'do', 'plan']),
    ...(random.chance(0.3) ? { overrides: { auto: true } } : {}),
    ...(random.chance(0.4)
      ? { onBusy: random.pick(['enqueue', 'reject', 'interrupt', 'rollback', 'steer', 'steer']) }
      : {}),
    ...(random.chance(0.1) ? { lastSeenSeq: random.int(0, client.cursor) } : {}),
    ...key,
  };
  if (key.idempotencyKey !== undefined) world.keyed.push({ ...frame, idempotencyKey: key.idempotencyKey });
  sendSubmit(world, client, frame);
};

const sendSubmit = (
  world: World,
  client: SimClient,
  frame: { sessionId: string; content: string; idempotencyKey?: string },
): void => {
  const requestId = world.id('q');
  const { sessionId, content, idempotencyKey: key } = frame;
  world.pending.set(requestId, { kind: 'submit', sessionId, content, ...(key === undefined ? {} : { key }) });
  client.send({ ...frame, requestId });
};

/** A client that never heard of its answer, or did, says the same again; now and then with another task under the same key. */
const retry = (world: World): void => {
  const { random } = world;
  const attached = world.clients.filter((c) => c.attached);
  if (world.keyed.length === 0 || attached.length === 0) return;
  const frame = random.pick(world.keyed);
  const client = random.pick(attached);
  if (random.chance(0.9)) return sendSubmit(world, client, frame);
  const requestId = world.id('q');
  world.abused.add(frame.idempotencyKey);
  world.pending.set(requestId, { kind: 'mismatch', sessionId: frame.sessionId, key: frame.idempotencyKey });
  client.send({ ...frame, requestId, content: world.id('other-') });
};

/** Edits, moves and withdrawals, by the turn's writer or by somebody else, of turns that wait and of turns that do not. */
const queue = (world: World, sessionId: string): void => {
  const { random } = world;
  const { queue: waiting, active } = world.checker(sessionId).state;
  const turn = random.pick([...waiting, ...(active && random.chance(0.2) ? [active] : [])]);
  if (!turn) return;
  const writerId = random.chance(0.85) ? turn.writerId : random.pick(WRITERS);
  const params = { id: sessionId, turnId: turn.turnId };
  if (random.chance(0.3)) {
    void world.daemon?.dispatch('queue.withdraw', { params, query: { writerId }, body: undefined });
    return;
  }
  // Mostly a move that is allowed: before another turn of the same writer, or behind all of those.
  const own = waiting.filter((t) => t.writerId === writerId && t.turnId !== turn.turnId);
  const before = () => (random.chance(0.3) ? null : random.pick(random.chance(0.8) ? own : waiting)?.turnId);
  const body = {
    writerId,
    ...(random.chance(0.6) ? { content: world.id('edit-') } : {}),
    ...(random.chance(0.6) ? { before: before() } : {}),
  };
  void world.daemon?.dispatch('queue.edit', { params, query: {}, body });
};

const call = (world: World, id: Parameters<Dispatch>[0], sessionId: string, body?: object): void => {
  void world.daemon?.dispatch(id, { params: { id: sessionId }, query: {}, body });
};

const cancel = (world: World, client: SimClient): void => {
  const { random } = world;
  if (!client.attached) return;
  const { active, queue } = world.checker(client.sessionId).state;
  const turns = [...queue, ...(active ? [active] : [])].map((t) => t.turnId);
  const requestId = world.id('q');
  const by = random.weighted({ turn: 6, writer: 2, nothing: 1, unknown: 1 });
  const turnId = by === 'turn' && turns.length > 0 ? random.pick(turns) : undefined;
  const target =
    by === 'writer'
      ? { writerId: random.pick(WRITERS) }
      : by === 'unknown'
        ? { turnId: 'nope' }
        : turnId
          ? { turnId }
          : {};
  world.pending.set(requestId, { kind: 'cancel', sessionId: client.sessionId, ...(turnId ? { turnId } : {}) });
  client.send({ type: 'turn.cancel', requestId, sessionId: client.sessionId, ...target });
};

const cancelCall = (world: World, client: SimClient, turnId: string, callId: string): void => {
  if (!client.attached) return;
  const requestId = world.id('q');
  const { sessionId } = client;
  world.pending.set(requestId, { kind: 'cancelCall', sessionId, turnId, callId });
  const target = { turnId, callId, cancelledBy: world.id('p') };
  client.send({ type: 'turn.cancel', requestId, sessionId, ...target });
};

/** The clients that have a request in front of them. */
const asking = (world: World): SimClient[] => world.clients.filter((c) => c.attached && c.requests.size > 0);

const decide = (world: World, client: SimClient): void => {
  const { random } = world;
  if (!client.attached) return;
  const wrong = random.chance(0.05);
  const from = wrong ? random.pick(world.clients) : client;
  const open = [...from.requests];
  if (open.length === 0) return;
  const request = random.pick(open);
  const ackId = world.id('q');
  const decidedBy = world.id('p');
  const decision = random.chance(0.7) ? 'allow' : 'deny';
  const remember = random.chance(0.3) ? { remember: 'session' } : {};
  const question = from.questions.has(request);
  const answers = random.chance(0.7) ? question && decision === 'allow' : random.chance(0.5);
  const answer = answers ? { answer: world.id('a') } : {};
  const misfit =
    decision === 'deny' ? 'remember' in remember || answers : question ? 'remember' in remember || !answers : answers;
  world.pending.set(ackId, {
    kind: wrong ? 'wrong' : misfit ? 'misfit' : 'decide',
    sessionId: client.sessionId,
    turnId: request,
    decidedBy,
  });
  client.send({
    type: 'permission.resolve',
    sessionId: client.sessionId,
    requestId: request,
    decision,
    decidedBy,
    ...remember,
    ...answer,
    ackId,
  });
};

/** What HTTP answers is committed, and the same bytes. */
const read = (world: World, sessionId: string): void => {
  const daemon = world.daemon;
  if (!daemon?.ready) return;
  void daemon
    .dispatch('events.read', { params: { id: sessionId }, query: { afterSeq: '0' }, body: undefined })
    .then((o) => {
      if (!o.ok || !daemon.life.alive) return;
      if (!('json' in o.answer)) throw new Error('the stored events are passed on as they are');
      const { events } = JSON.parse(o.answer.json) as { events: { seq: number }[] };
      const texts = world.checker(sessionId).texts;
      for (const e of events)
        if (JSON.stringify(e) !== texts[e.seq - 1]) world.report(`EV3: events of ${sessionId} differ from its log`);
    });
};

const stop = async (world: World): Promise<void> => {
  const daemon = world.daemon;
  if (!daemon?.ready) return;
  let stopped = false;
  world.stopping = true;
  daemon.system.stop(() => {
    stopped = true;
  });
  for (let i = 0; i < 4_000 && !stopped && daemon.life.alive; i += 20) await world.settle(20);
  world.stopping = false;
  if (!stopped) world.report('SV2: the daemon did not stop in time');
  if (stopped) checkStopped(world, daemon);
  world.crash(false);
};

/** Faults end; everybody reads on; whatever was begun must end, and nothing may be left over. */
const peace = async (world: World): Promise<void> => {
  world.faults.failing = 0;
  world.faults.full = false;
  world.faults.slow = 0.05;
  world.poison = false;
  if (world.daemon?.system.health().quarantined.length) world.crash(false);
  if (!world.daemon) world.boot();
  const answerAll = world.random.chance(0.8);
  for (let round = 0; round < 400 && world.violations.length === 0; round++) {
    await world.settle(100);
    if (world.daemon?.ready) {
      for (const c of world.clients) {
        c.slow = false;
        if (!c.attached) c.attach();
        if (answerAll) decide(world, c);
      }
    }
    if (quiet(world)) break;
  }
  world.checkFolds();
  for (const checker of world.checkers.values()) {
    checker.quiet();
    for (const content of checker.contents.keys()) {
      if (world.refused.has(content)) world.report(`TQ6: ${content} was refused and is in the log`);
    }
  }
  for (const c of world.clients) {
    const head = world.checker(c.sessionId).head;
    if (c.cursor !== head) world.report(`EV2: a reader of ${c.sessionId} stands at ${c.cursor} of ${head}`);
    c.cut();
  }
  await leftovers(world);
};

const quiet = (world: World): boolean => {
  const d = world.daemon;
  if (!d?.ready) return false;
  const { registry, asks } = d.system.parts;
  const working = [...world.checkers.values()].some((c) => [...c.accepted].some((t) => !c.terminal.has(t)));
  return (
    !working &&
    registry.slots.size === 0 &&
    asks.size === 0 &&
    world.clients.every((c) => c.cursor === world.checker(c.sessionId).head)
  );
};

/** [SV3] Nothing outlives its reason: actors, timers, answers, attachments, tools, streams. */
const leftovers = async (world: World): Promise<void> => {
  await world.settle(2_000);
  const d = world.daemon;
  if (!d || world.violations.length > 0) return;
  const { registry, asks, journal, attachments } = d.system.parts;
  const left = {
    slots: registry.slots.size,
    asks: asks.size,
    answers: journal.waiting,
    tail: journal.tailBytes,
    attachments: attachments.total,
    timers: world.clock.armed(d.life),
    tools: d.tools.alive.size,
    processes: world.processes.alive.size,
    streams: d.inference.live.size,
  };
  if (Object.values(left).some((n) => n !== 0)) world.report(`SV3: left over: ${JSON.stringify(left)}`);
};

const outcome = (world: World, seed: number): Outcome => {
  let digest = 0;
  let records = 0;
  for (const id of world.disk.sessions()) {
    for (const r of world.disk.records(id)) {
      records++;
      for (let i = 0; i < r.text.length; i++) digest = (Math.imul(digest, 31) + r.text.charCodeAt(i)) | 0;
    }
  }
  return { seed, sessions: world.sessionIds.length, steps: world.steps, records, violations: world.violations, digest };
};
