import { expect, test } from 'vitest';
import type { ProcessEvents, ToolResult } from '../../src/actors/ports.ts';
import { HookSchema } from '../../src/config/schema.ts';
import { realClock } from '../../src/platform.ts';
import { createHooks, labelled } from '../../src/services/hooks.ts';

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const run = {
  sessionId: 's',
  turnId: 't',
  callId: 'c',
  name: 'x',
  args: {},
  workspace: '/w',
  deniedPaths: [],
  deadlineMs: 1,
};

test('[CX4] one that is ended before its process is there begins nothing', async () => {
  let events: ProcessEvents | null = null;
  const did: string[] = [];
  const hooks = createHooks({
    clock: realClock,
    log: quiet,
    processes: {
      shell: ['sh', '-c'],
      home: '/',
      start: (_run, on) => {
        events = on;
        return {
          go: () => void did.push('go'),
          signal: (name) => void did.push(name),
          pause: () => undefined,
          resume: () => undefined,
          drop: () => undefined,
        };
      },
    },
    hooksOf: () => labelled('user', [HookSchema.parse({ event: 'tool.pre', command: 'x' })]),
    refresh: () => undefined,
    workspaceOf: () => undefined,
  });
  const results: (ToolResult | null)[] = [];
  const handle = hooks.before(run, (refusal) => void results.push(refusal));
  await new Promise((resolve) => setTimeout(resolve, 5));
  const dead = new Promise<void>((resolve) => handle.kill(resolve));
  const on = events as ProcessEvents | null;
  on?.spawned({ pid: 1, identity: null });
  expect(did.filter((what) => what === 'go')).toEqual([]);
  expect(did.at(-1)).toBe('SIGKILL');
  on?.gone({ exitCode: null, signal: 'SIGKILL' });
  await dead;
  expect(results).toEqual([]);
});
