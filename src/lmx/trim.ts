import type { ChatMessage } from './engine.ts';

export interface Trimmed {
  messages: readonly ChatMessage[];
  /** How many were left out. */
  left: number;
}

/**
 * [LG9] The newest messages that fit, for a caller who asked for that: what the system said first and the last word are always among them, and a
 * tool's result is never parted from its call. `size` counts the tokens of a conversation; null when not even the last word fits.
 */
export const trimTo = (
  messages: readonly ChatMessage[],
  budget: number,
  size: (messages: readonly ChatMessage[]) => number,
): Trimmed | null => {
  if (size(messages) <= budget) return { messages, left: 0 };
  const head = messages.findIndex((m) => !isSystem(m));
  const system = messages.slice(0, head < 0 ? messages.length : head);
  const units = unitsOf(messages.slice(system.length));
  // The fewest that have to go: what fits is found by halving, since counting may be dear.
  let [low, high] = [1, units.length - 1];
  if (high < 1 || size(joined(system, units, high)) > budget) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (size(joined(system, units, middle)) <= budget) high = middle;
    else low = middle + 1;
  }
  const kept = joined(system, units, high);
  return { messages: kept, left: messages.length - kept.length };
};

const isSystem = (m: ChatMessage): boolean => m.role === 'system' || m.role === 'developer';

const joined = (system: readonly ChatMessage[], units: readonly ChatMessage[][], from: number): ChatMessage[] => [
  ...system,
  // What the system said later is said still.
  ...units.slice(0, from).flat().filter(isSystem),
  ...units.slice(from).flat(),
];

/** What may only go together: a message that calls tools, with their results. A result without its call belongs to what is before it. */
const unitsOf = (messages: readonly ChatMessage[]): ChatMessage[][] => {
  const units: ChatMessage[][] = [];
  for (const message of messages) {
    const last = units.at(-1);
    if (message.role === 'tool' && last) last.push(message);
    else units.push([message]);
  }
  return units;
};
