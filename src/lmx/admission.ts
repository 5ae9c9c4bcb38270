/**
 * Who has a slot and who waits for one. Pure. The queue is in the order of arrival, those of high priority before all others;
 * priority never goes beyond the slots.
 */
export interface Admission {
  readonly slots: number;
  readonly queueMax: number;
  readonly running: ReadonlySet<string>;
  readonly queue: readonly Waiting[];
}

export interface Waiting {
  readonly id: string;
  readonly priority: 'normal' | 'high';
}

export type Verdict = { kind: 'run' } | { kind: 'wait'; position: number } | { kind: 'full' };

export const emptyAdmission = (slots: number, queueMax: number): Admission => ({
  slots,
  queueMax,
  running: new Set(),
  queue: [],
});

export const enter = (a: Admission, who: Waiting): [Admission, Verdict] => {
  if (a.running.size < a.slots && a.queue.length === 0)
    return [{ ...a, running: new Set(a.running).add(who.id) }, { kind: 'run' }];
  if (a.queue.length >= a.queueMax) return [a, { kind: 'full' }];
  const firstNormal = a.queue.findIndex((w) => w.priority === 'normal');
  const at = who.priority === 'high' && firstNormal >= 0 ? firstNormal : a.queue.length;
  const queue = [...a.queue.slice(0, at), who, ...a.queue.slice(at)];
  return [
    { ...a, queue },
    { kind: 'wait', position: at + 1 },
  ];
};

/** `id` ran, waited, or is unknown. `next`: those who have a slot now, in order. */
export const leave = (a: Admission, id: string): [Admission, next: string[]] => {
  const running = new Set(a.running);
  running.delete(id);
  const queue = a.queue.filter((w) => w.id !== id);
  const next = queue.splice(0, Math.max(0, a.slots - running.size)).map((w) => w.id);
  for (const each of next) running.add(each);
  return [{ ...a, running, queue }, next];
};

/** 1 is the next; 0 when it does not wait. */
export const positionOf = (a: Admission, id: string): number => a.queue.findIndex((w) => w.id === id) + 1;
