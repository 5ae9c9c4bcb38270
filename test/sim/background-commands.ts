import { keptProblem, type SeenProcess } from './background-checker.ts';
import type { World } from './world.ts';

/** What clients do with background processes in a world, and what must hold of the answers. */
export const startProcess = (world: World, sessionId: string): void => {
  const { random, daemon } = world;
  if (!daemon?.ready) return;
  const words = ['job'];
  if (random.chance(0.7)) words.push(`ms=${random.int(0, 300)}`, `code=${random.chance(0.7) ? 0 : 1}`);
  // Now and then more than is kept of one process.
  if (random.chance(0.7)) words.push(`out=${random.int(1, 20)}`, `size=${random.pick([3, 20, 400])}`);
  if (random.chance(0.2)) words.push('deaf');
  if (random.chance(0.05)) words.push('lost');
  const command = random.chance(0.05) ? 'missing' : words.join(' ');
  // Peace comes only to a process that ends.
  const body = { sessionId, command, timeoutMs: random.int(50, 900), cwd: random.pick(['/w', 'sub']) };
  void daemon.dispatch('background.start', { params: {}, query: {}, body }).then((o) => {
    if (!o.ok || !daemon.life.alive || !('body' in o.answer)) return;
    const { processId } = o.answer.body.process;
    const started = world.checker(sessionId).background.seen.get(processId);
    if (!started || world.disk.flushedHead(sessionId) < started.startedSeq)
      world.report(`EV5: process ${processId} was answered before its start was flushed`);
  });
};

const pickProcess = (world: World, sessionId: string): [string, SeenProcess] | undefined => {
  const all = [...world.checker(sessionId).background.seen];
  const running = all.filter(([, p]) => p.ended === null);
  return all.length === 0
    ? undefined
    : world.random.pick(running.length > 0 && world.random.chance(0.8) ? running : all);
};

export const killProcess = (world: World, sessionId: string): void => {
  const { random, daemon } = world;
  const picked = pickProcess(world, sessionId);
  if (!daemon?.ready || !picked) return;
  const [processId] = picked;
  const signal = random.pick(['SIGTERM', 'SIGKILL', 'SIGINT'] as const);
  const query = random.chance(0.5) ? { sessionId } : {};
  void daemon.dispatch('background.kill', { params: { processId }, query, body: { signal } }).then((o) => {
    if (!o.ok || !daemon.life.alive || !('body' in o.answer)) return;
    if ((world.checker(sessionId).background.seen.get(processId)?.ended ?? null) === null)
      world.report(`BG3: the kill of ${processId} was answered and its end is not in the log`);
    if (world.processes.alive.has(processId) && !world.processes.lost.has(processId))
      world.report(`BG3: the kill of ${processId} was answered and it runs`);
  });
};

/** A page of output is what the log has, from the chunk after the cursor on. */
export const readOutput = (world: World, sessionId: string): void => {
  const { random, daemon } = world;
  const picked = pickProcess(world, sessionId);
  if (!daemon?.ready || !picked) return;
  const [processId, seen] = picked;
  const known = seen.texts.length;
  const [afterSeq, limit] = [random.int(0, known), random.int(1, 6)];
  const query = { sessionId, afterSeq: String(afterSeq), limit: String(limit) };
  void daemon.dispatch('background.output', { params: { processId }, query, body: undefined }).then((o) => {
    if (!o.ok || !daemon.life.alive || !('body' in o.answer)) return;
    const { chunks, nextSeq, hasMore } = o.answer.body;
    const { texts } = world.checker(sessionId).background.seen.get(processId) ?? { texts: [] };
    const right = chunks.every((c, i) => c.seq === afterSeq + 1 + i && c.text === texts[c.seq - 1]);
    if (!right || chunks.length > limit || nextSeq !== afterSeq + chunks.length)
      world.report(`BG1: output of ${processId} after ${afterSeq} is not what the log has`);
    if (hasMore ? chunks.length < limit : afterSeq + chunks.length < known && chunks.length < limit)
      world.report(`BG1: a page of output of ${processId} ends too early`);
  });
};

/** A command begins: by now everybody could know of it. */
export const checkBegun = (world: World, processId: string): void => {
  if (![...world.checkers.values()].some((c) => c.background.seen.has(processId)))
    world.report(`BG2: process ${processId} began before its start was committed`);
};

/** The end of a process is in the log: all that it wrote is accounted for. */
export const checkOutput = (world: World, sessionId: string, processId: string): void => {
  const seen = world.checker(sessionId).background.seen.get(processId);
  if (!seen || world.processes.lost.has(processId)) return;
  for (const stream of ['stdout', 'stderr']) {
    const problem = keptProblem(
      seen,
      stream,
      world.processes.written.get(`${processId} ${stream}`) ?? '',
      world.processes.bereft.has(processId),
    );
    if (problem) world.report(`${problem} (${processId} ${stream})`);
  }
};

/** [BG7] Where processes are kept, a clean stop interrupts none; a session that fails meanwhile does. */
export const checkInterrupted = (world: World): void => {
  if (world.keeps && world.stopping && !world.poison && world.faults.failing === 0 && !world.faults.full)
    world.report('BG7: a clean stop ended a process that was to be left');
};

/** Nothing runs without the actor that would end it. */
export const checkOwners = (world: World): void => {
  const d = world.daemon;
  if (!d) return;
  const owned = new Set(
    [...d.system.parts.registry.slots.values()].flatMap((slot) =>
      slot.state === 'live' ? Object.keys(slot.actor.getSnapshot().children) : [],
    ),
  );
  for (const { processId, life, dying } of world.processes.alive.values()) {
    if (life === d.life && !dying && !owned.has(`process:${processId}`))
      world.report(`BG3: process ${processId} runs and its actor does not`);
  }
};

/** A clean stop ends every process and says so; where they are kept, it leaves those that have begun to the next daemon. */
export const checkStopped = (world: World, daemon: NonNullable<World['daemon']>): void => {
  const left = [...world.processes.alive.values()].filter((p) => p.life === daemon.life && !p.dying && !p.kept);
  for (const p of world.processes.alive.values())
    if (p.kept && p.life === daemon.life && !p.dying)
      world.report(`BG7: ${p.processId} was not left to the next daemon`);
  if (left.length > 0) world.report(`BG3: the daemon stopped and ${left.length} processes run`);
  // Where nothing fails: a session that failed, or could not be stored, was not stopped but halted.
  if (world.poison || world.faults.failing > 0 || world.faults.full) return;
  for (const checker of world.checkers.values())
    for (const [processId, p] of checker.background.seen)
      if (p.ended === null && !world.processes.isLeft(processId))
        world.report(`BG3: the daemon stopped, and its log has no end of ${processId}`);
};
