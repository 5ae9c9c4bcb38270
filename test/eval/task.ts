/** A small repository, what somebody wants done in it, and how to tell whether it was. */
export interface Task {
  id: string;
  prompt: string;
  /** The repository, by path. It is committed before the task begins. */
  files: { [path: string]: string };
  /** Laid over a copy of what the model left, and run there by `node --test`. The model never sees them. */
  check: { [path: string]: string };
  /** Paths that must be as they were. */
  keep?: string[];
  /** What the last message must say. */
  answer?: RegExp;
  /**
   * One way to do it, which shows that the check can be met; null deletes. Before it the check must fail. With `answer`, what is
   * said.
   */
  solution: { files: { [path: string]: string | null }; says?: string };
}

export const test = (body: string, imports = ''): string =>
  `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\n${imports}\n${body}\n`;
