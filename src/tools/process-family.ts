import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log } from '../actors/ports.ts';
import { groupMembers, isGroupAlive, killGroup, signalOne } from './process-group.ts';

/** What is inherited by everything that a process starts, wherever that goes: its id in the environment. */
export const MARK = 'OPTA_BACKGROUND';
const POLL_MS = 5;

/** A process by its mark, and by its group where that is certainly its own. */
export type Family = { processId: string; groupId: number | null };

/** What there is of it; a negative id is the whole group. */
export const members = ({ processId, groupId }: Family): number[] => {
  if (process.platform === 'linux') return groupMembers(groupId, `${MARK}=${processId}`);
  return groupId !== null && isGroupAlive(groupId) ? [-groupId] : [];
};

/** Blow after blow until nothing is left, or too long. */
export const endAll = (world: { clock: Clock; log: Log }, family: Family, done: () => void, pollMs = POLL_MS): void => {
  if (family.groupId !== null) killGroup(family.groupId);
  const left = members(family);
  for (const id of left) signalOne(id, 'SIGKILL');
  const late = pollMs > LIMITS.toolKillDeadlineMs;
  if (late) world.log.error('a background process could not be ended in time', { ...family, left });
  if (left.length === 0 || late) return done();
  world.clock.setTimeout(() => endAll(world, family, done, 2 * pollMs), pollMs);
};
