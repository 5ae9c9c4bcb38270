/** Tasks that are handed on together, and which of them come first. */
export interface Subtask {
  task: string;
  mode?: string;
  /** Places in the list of those whose answers it needs. */
  depends_on?: number[];
}

export interface Answered {
  text: string;
  isError: boolean;
}

/** The order in which they run: as given, but each behind those it depends on. A text says why there is none. */
export const runOrder = (subtasks: readonly Subtask[]): number[] | string => {
  const order: number[] = [];
  const wrong = subtasks.flatMap(({ depends_on = [] }) => depends_on).find((at) => at >= subtasks.length);
  if (wrong !== undefined) return `there is no task ${wrong}: the first is 0, the last ${subtasks.length - 1}`;
  while (order.length < subtasks.length) {
    const next = subtasks.findIndex(
      ({ depends_on = [] }, i) => !order.includes(i) && depends_on.every((at) => order.includes(at)),
    );
    if (next < 0) return 'the tasks wait for each other in a circle';
    order.push(next);
  }
  return order;
};

/** What its agent is told; null when one that it depends on failed, or was left out. */
export const taskOf = (
  plan: string,
  { task, depends_on = [] }: Subtask,
  answers: ReadonlyMap<number, Answered>,
): string | null => {
  const needed = [...new Set(depends_on)].map((at) => ({ at, answer: answers.get(at) }));
  if (needed.some(({ answer }) => answer === undefined || answer.isError)) return null;
  const told = needed.map(({ at, answer }) => `\n\nThe answer of task ${at}:\n${answer?.text}`).join('');
  return `${task}\n\nIt is part of this: ${plan}${told}`;
};
