import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openWorld, say, type World } from '../e2e/world.ts';
import { judge, put } from './judge.ts';
import { attempt, repositoryOf, TASKS } from './suite.ts';

/** That the task suite measures something: no check passes before the task is done, and each can be passed. */
test('there are twenty, each with a name of its own', () => {
  expect(TASKS).toHaveLength(20);
  expect(new Set(TASKS.map((task) => task.id)).size).toBe(20);
});

test.each(TASKS.map((task) => [task.id, task] as const))(
  '%s: not done before, done by the solution',
  async (_, task) => {
    const workspace = repositoryOf(task);
    try {
      expect(await judge(task, workspace, 'I have done it.')).not.toBe(null);
      put(workspace, task.solution.files);
      expect(await judge(task, workspace, task.solution.says ?? 'I have done it.')).toBe(null);
      const [kept] = task.keep ?? [];
      if (kept === undefined) return;
      put(workspace, { [kept]: 'changed\n' });
      expect(await judge(task, workspace, task.solution.says ?? '')).toContain(kept);
    } finally {
      rmSync(workspace, { recursive: true, force: true });
    }
  },
  60_000,
);

describe('through a daemon, with a model that knows the solution', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld();
  });
  afterAll(() => world?.close());

  test('is scored by what it leaves, not by what it says', async () => {
    const [rename, question, lru] = ['rename', 'question', 'lru'].map((id) => TASKS.find((task) => task.id === id));
    if (!rename || !question || !lru) throw new Error('a task is gone');
    const knows = ({ solution }: typeof rename) => {
      const tools = Object.entries(solution.files).map(([path, content]) => ({
        name: 'write_file',
        args: { path, content },
      }));
      return say({ ...(tools.length > 0 ? { tools } : {}), text: solution.says ?? 'Done.' });
    };
    for (const task of [rename, question])
      expect(await attempt(world.daemon, task, { timeoutMs: 30_000, prompt: knows(task) })).toMatchObject({
        id: task.id,
        why: null,
        outcome: 'done',
        toolCalls: Object.keys(task.solution.files).length,
      });
    const boasts = await attempt(world.daemon, lru, {
      timeoutMs: 30_000,
      prompt: say({ text: 'Done, all tests pass.' }),
    });
    expect(boasts).toMatchObject({ outcome: 'done', why: expect.stringMatching(/not ok|Error|expected|failed/) });
  }, 60_000);
});
