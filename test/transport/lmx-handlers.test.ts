import { expect, test } from 'vitest';
import type { LmxCall } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { LMX_OPERATIONS, type LmxOperationId } from '../../src/protocol/operations/lmx.ts';
import type { HandlerDeps } from '../../src/transport/handlers/deps.ts';
import { lmxHandlers } from '../../src/transport/handlers/lmx.ts';

const FULL = { modelId: 'm', repoId: 'r', confirmationToken: 't' };
const IDS = Object.keys(LMX_OPERATIONS) as LmxOperationId[];
/** A change of the models; to have something computed by them is none. */
const isChange = (id: LmxOperationId): boolean =>
  LMX_OPERATIONS[id].safety === 'write' && !['lmx.embeddings', 'lmx.rerank'].includes(id);

/** Each operation once, with all that it could need; its code when it fails. */
const callAll = async (lmx: HandlerDeps['lmx']): Promise<Map<LmxOperationId, string>> => {
  const timers = { setTimeout, clearTimeout: (id: unknown) => clearTimeout(id as NodeJS.Timeout) };
  const handlers = lmxHandlers({ ...(lmx ? { lmx } : {}), timers } as unknown as HandlerDeps);
  const outcomes = new Map<LmxOperationId, string>();
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
  const asked: string[] = [];
  const admin = {
    run: (call: LmxCall, done: (error: null, value: unknown) => void) => {
      asked.push(call.id);
      setImmediate(() => done(null, {}));
    },
    open: 0,
    away: null,
    close: () => undefined,
  };
  return { asked, lmx: { admin, mayAdminister: () => refusal } };
};

test('a host that may administer reads and changes; the operations that change are those of the table', async () => {
  const { asked, lmx } = host(null);
  const outcomes = await callAll(lmx);
  expect([...outcomes.values()]).toEqual(IDS.map(() => 'ok'));
  expect(asked).toHaveLength(IDS.length);
  expect(IDS.filter(isChange)).toEqual(['lmx.load', 'lmx.confirm', 'lmx.unload', 'lmx.download', 'lmx.delete']);
});

test('a host that may not is refused every change with the policy’s own error, before LMX hears of it, and reads on', async () => {
  const { asked, lmx } = host(new OptaError('host-policy', 'client-only'));
  const outcomes = await callAll(lmx);
  for (const id of IDS) expect([id, outcomes.get(id)]).toEqual([id, isChange(id) ? 'host-policy' : 'ok']);
  expect(asked).toHaveLength(IDS.filter((id) => !isChange(id)).length);
});

test('without an inference host every operation says so', async () => {
  const outcomes = await callAll(undefined);
  expect(new Set(outcomes.values())).toEqual(new Set(['lmx-connection-refused']));
});
