import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Processes } from '../actors/ports.ts';
import { adoptKept, endKept, startKept } from './kept-process.ts';
import { startPiped } from './piped-process.ts';
import { endAll } from './process-family.ts';
import type { ProcessWorld } from './process-launch.ts';

/** bash where there is one, since that is what models write; without the files that a person's bash reads. */
const SHELL = existsSync('/bin/bash') ? ['/bin/bash', '--noprofile', '--norc', '-c'] : ['/bin/sh', '-c'];

/** `kept`: where processes lie that may outlive this daemon; `adopts`: whether it lets them, and takes over those of another. */
export type KeptOptions = { keptDir: string; adoptWithinMs: number; adopts: boolean };

export const createProcesses = (world: ProcessWorld & { kept?: KeptOptions }): Processes => {
  const later = oneByOne(world.clock);
  const keeping = world.kept ? { ...world, ...world.kept } : null;
  return {
    home: homedir(),
    shell: SHELL,
    confine: (at) => (world.sandbox?.wrap([], { ...at, cwd: at.workspace }) ?? null) !== null,
    start: (run, on) => (keeping && run.kept ? startKept(keeping, run, on, later) : startPiped(world, run, on, later)),
    ...(keeping?.adopts ? { adopt: (left, on) => adoptKept(keeping, left, on) } : {}),
    endStrays: (owned) => {
      if (keeping && existsSync(keeping.keptDir))
        for (const name of readdirSync(keeping.keptDir)) if (!owned.has(name)) endKept(keeping, name);
    },
    // The group is ours only while its leader is the very process of then; what carries the mark is ours anyway.
    reap: ({ processId, pid, identity }) =>
      world.clock.soon(() => {
        const isOurs = identity !== null && world.identityOf(pid) === identity;
        if (keeping && existsSync(join(keeping.keptDir, processId))) endKept(keeping, processId);
        endAll(world, { processId, groupId: isOurs ? pid : null }, () => undefined);
      }),
  };
};

/** To make a process stops everything else for some milliseconds: one in each turn of the event loop, however many are wanted at once. */
const oneByOne = (clock: Clock): ((make: () => void) => void) => {
  const waiting: (() => void)[] = [];
  let isDue = false;
  const next = (): void => {
    waiting.shift()?.();
    isDue = waiting.length > 0;
    if (isDue) clock.soon(next);
  };
  return (make) => {
    waiting.push(make);
    if (isDue) return;
    isDue = true;
    clock.soon(next);
  };
};
