import { expect, test } from 'vitest';
import { z } from 'zod';
import { createOperationHost } from '../../src/operations/host.ts';
import { define, type Operations, type OperationWorld } from '../../src/operations/operation.ts';

const world = {} as Omit<OperationWorld, 'signal'>;
/** Ends when it is told to, and says how often it was. */
const until = (safety: 'read' | 'write', told: string[]) =>
  define({
    title: 'T',
    description: 'd',
    safety,
    input: z.object({ name: z.string() }),
    run: ({ signal }, { name }) =>
      new Promise((resolve) => {
        const end = (): void => {
          told.push(name);
          resolve(name);
        };
        if (signal.aborted) end();
        else signal.addEventListener('abort', end);
      }),
  });
const hostOf = (told: string[], max = 2, deadlineMs = 5_000) => {
  const catalogue: Operations = { look: until('read', told), change: until('write', told) };
  return createOperationHost(world, { max, deadlineMs }, catalogue);
};

test('[OP2][SV3] no more run at once than the bound says; one beyond it is refused, and the place of one that ended is free', async () => {
  const told: string[] = [];
  const host = hostOf(told, 2, 50);
  const running = ['a', 'b'].map((name) => host.run('change', { name }));
  expect(host.open).toBe(2);
  await expect(host.run('look', { name: 'c' })).rejects.toMatchObject({ code: 'too-many-requests' });
  for (const one of running) await expect(one).rejects.toMatchObject({ code: 'timeout' });
  expect([host.open, told]).toEqual([0, ['a', 'b']]);
  await expect(host.run('look', { nam: 'd' })).rejects.toMatchObject({ code: 'invalid-request' });
  expect(host.open).toBe(0);
});

test('[OP2] what reads ends for a caller that is gone; a change that was begun does not', async () => {
  const told: string[] = [];
  const host = hostOf(told, 2, 100);
  const leave: (() => void)[] = [];
  const caller = { whenGone: (left: () => void) => void leave.push(left) };
  const look = host.run('look', { name: 'read' }, caller);
  const change = host.run('change', { name: 'written' }, caller);
  for (const left of leave) left();
  expect(await look).toBe('read');
  expect([told, host.open]).toEqual([['read'], 1]);
  await expect(change).rejects.toMatchObject({ code: 'timeout' });
  // One that left before its operation began.
  expect(await host.run('look', { name: 'late' }, { whenGone: (left) => left() })).toBe('late');
});
