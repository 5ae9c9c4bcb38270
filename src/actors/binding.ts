import type { Asks } from './effects/asks.ts';
import { backgroundEffect } from './effects/background-run.ts';
import { barrierEffect } from './effects/barrier.ts';
import { briefEffect } from './effects/brief.ts';
import { type Gates, inferenceEffect } from './effects/inference-stream.ts';
import type { Journal } from './effects/journal.ts';
import { restoreEffect } from './effects/restore.ts';
import { toolEffect } from './effects/tool-run.ts';
import type { Limits } from './limits.ts';
import { backgroundMachine } from './machines/background-job.ts';
import { sessionMachine } from './machines/session.ts';
import { streamMachine } from './machines/stream.ts';
import { toolJobMachine } from './machines/tool-job.ts';
import { turnMachine } from './machines/turn.ts';
import type { Briefing, Inference, LogStore, Processes, ToolGate, Tools } from './ports.ts';
import type { Registry } from './registry.ts';

/** The session chart with everything below it bound to the world. Built once and shared by all sessions. */
export const bindSession = (
  p: {
    limits: Limits;
    inference: Inference;
    tools: Tools;
    processes: Processes;
    store: Pick<LogStore, 'read'>;
    briefing?: Briefing;
    gate?: ToolGate;
  },
  journal: Journal,
  asks: Asks,
  gates: Gates,
  registry: () => Registry,
  ofSession: ReadonlyMap<string, Tools['start']>,
): typeof sessionMachine =>
  sessionMachine.provide({
    actions: {
      append: (_, { state, records }) => journal.append(state, records),
      answer: (_, { ask, afterSeq, value }) => asks.answer(ask, afterSeq, value),
      refuse: (_, { ask, code, message, facts }) => asks.refuse(ask, code, message, facts),
      passivate: (_, { sessionId }) => registry().passivate(sessionId),
      halted: (_, { sessionId }) => registry().stopped(sessionId),
      reap: (_, left) => p.processes.reap(left),
    },
    actors: {
      restore: restoreEffect(p.tools),
      backgroundJob: backgroundMachine.provide({
        actors: { process: backgroundEffect(p.processes, journal, p.limits, p.store) },
      }),
      turn: turnMachine.provide({
        actors: {
          ...(p.briefing ? { brief: briefEffect(p.briefing) } : {}),
          stream: streamMachine.provide({
            actors: { inference: inferenceEffect(p.inference, journal, p.limits, gates) },
          }),
          toolJob: toolJobMachine.provide({
            actors: { barrier: barrierEffect(journal), tool: toolEffect(p.tools, ofSession, p.gate) },
          }),
        },
      }),
    },
  });
