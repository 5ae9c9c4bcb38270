import { expect, test } from 'vitest';
import type { LmxChange, LmxRead } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { LMX_OPERATIONS } from '../../src/protocol/operations/lmx.ts';
import type { HandlerDeps } from '../../src/transport/handlers/deps.ts';
import { lmxHandlers } from '../../src/transport/handlers/lmx.ts';

const FULL = { modelId: 'm', repoId: 'r', confirmationToken: 't' };
type LmxId = keyof typeof LMX_OPERATIONS;
const IDS = Object.keys(LMX_OPERATIONS) as LmxId[];
const isWrite = (id: LmxId): boolean => LMX_OPERATIONS[id].safety === 'write';

/** Each operation once, with all that it could need; its code when it fails. */
const callAll = async (lmx: HandlerDeps['lmx']): Promise<Map<LmxId, string>> => {
  const timers = { setTimeout, clearTimeout: (id: unknown) => clearTimeout(id as NodeJS.Timeout) };
  const handlers = lmxHandlers({ ...(lmx ? { lmx } : {}), timers } as unknown as HandlerDeps);
  const outcomes = new Map<LmxId, string>();
  for (const id of IDS) {
    const call = handlers[id] as (input: unknown) => unknown;
    try {
      await call({ params: { id: 'm' }, query: {}, body: FULL });
      outcomes.set(id, 'ok');
    } catch (fault) {
      outcomes.set(id, fault instanceof OptaError ? fault.code : String(fault));
    }
  }
  return outcomes;
};
const host = (refusal: OptaError | null) => {
  const asked: (LmxRead | LmxChange)['ask'][] = [];
  const admin = {
    run: (call: LmxRead | LmxChange, done: (error: null, value: unknown) => void) => {
      asked.push(call.ask);
      setImmediate(() => done(null, {}));
    },
    close: () => undefined,
  };
  return { asked, lmx: { admin, mayAdminister: () => refusal } };
};

test('a host that may administer reads and changes; the operations that change are those of the table', async () => {
  const { asked, lmx } = host(null);
  const outcomes = await callAll(lmx);
  expect([...outcomes.values()]).toEqual(IDS.map(() => 'ok'));
  expect(asked).toHaveLength(IDS.length);
  expect(IDS.filter(isWrite)).toEqual(['lmx.load', 'lmx.confirm', 'lmx.unload', 'lmx.download', 'lmx.delete']);
});

test('a host that may not is refused every change with the policy’s own error, before LMX hears of it, and reads on', async () => {
  const { asked, lmx } = host(new OptaError('host-policy', 'client-only'));
  const outcomes = await callAll(lmx);
  for (const id of IDS) expect([id, outcomes.get(id)]).toEqual([id, isWrite(id) ? 'host-policy' : 'ok']);
  expect(asked).toHaveLength(IDS.filter((id) => !isWrite(id)).length);
});

test('without an inference host every operation says so', async () => {
  const outcomes = await callAll(undefined);
  expect(new Set(outcomes.values())).toEqual(new Set(['lmx-connection-refused']));
});
