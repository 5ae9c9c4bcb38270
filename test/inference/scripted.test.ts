import { expect, test } from 'vitest';
import { createInference } from '../../src/inference/engines.ts';
import { createScripted, type Script, type ScriptStep } from '../../src/inference/scripted.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { ask, quiet, run, simClock } from './bench.ts';

const play = (script: () => Script) => {
  const clock = simClock();
  const engine = createScripted({ clock, script });
  return { clock, engine, seen: run(engine, ask('x')) };
};

test('[SV2] a script plays on the given clock alone, in order and on time', () => {
  const { clock, engine, seen } = play(() => [
    { thinking: 'hm', afterMs: 10 },
    { text: 'a' },
    { text: 'b', afterMs: 1000 },
    { call: { name: 'f', args: { x: 1 } } },
    { call: { name: 'g', args: '{}', id: 'own' } },
    { end: { usage: { promptTokens: 1, completionTokens: 2 } }, afterMs: 5 },
  ]);
  expect(seen.events).toEqual([]);
  clock.run(9);
  expect(seen.events).toEqual([]);
  clock.run(1);
  expect(seen.events).toEqual(['accepted', 'thinking:hm', 'text:a']);
  clock.run(999);
  expect(seen.events.length).toBe(3);
  clock.run(6);
  expect(seen.events.slice(3)).toEqual(['text:b', 'end']);
  expect(seen.end).toEqual({
    finishReason: 'tool_calls',
    calls: [
      { id: 'call_t1_1_0', name: 'f', args: '{"x":1}' },
      { id: 'own', name: 'g', args: '{}' },
    ],
    usage: { promptTokens: 1, completionTokens: 2 },
  });
  expect(engine.active()).toBe(0);
});

test.each([
  ['runs out', [{ text: 'a' }], ['accepted', 'text:a', 'end']],
  ['is empty', [], ['accepted', 'end']],
  ['fails at once', [{ fail: new OptaError('lmx-busy', 'x') }], ['fail:lmx-busy']],
  [
    'fails in the middle',
    [{ text: 'a' }, { fail: new OptaError('lmx-busy', 'x') }, { text: 'b' }],
    ['accepted', 'text:a', 'fail:lmx-busy'],
  ],
  ['sends garbage', [{ accepted: true }, { garbage: true }], ['accepted', 'fail:lmx-protocol']],
  ['stalls', [{ text: 'a' }, { stall: true }, { text: 'b' }], ['accepted', 'text:a']],
  ['goes on after its end', [{ end: {} }, { text: 'b' }], ['accepted', 'end']],
] as [string, ScriptStep[], string[]][])('[TQ3] a script that %s', (_, script, events) => {
  const { clock, seen } = play(() => script);
  clock.run();
  expect(seen.events).toEqual(events);
});

test('[SV1] a script that throws is a failed request', () => {
  const { clock, seen } = play(function* () {
    yield { text: 'a' };
    throw new Error('bad script');
  });
  clock.run();
  expect(seen.events).toEqual(['accepted', 'text:a', 'fail:internal']);
});

test('[CX2] cancel at any step, pause and resume', () => {
  for (let stopAt = 0; stopAt < 5; stopAt++) {
    const clock = simClock();
    const engine = createScripted({ clock, script: () => [{ text: 'a' }, { text: 'b', afterMs: 5 }, { text: 'c' }] });
    const seen = run(engine, ask('x'), (_, s) => {
      if (s.events.length === stopAt) s.stream.cancel();
    });
    if (stopAt === 0) seen.stream.cancel();
    clock.run();
    expect(seen.events.length).toBe(stopAt);
    expect([engine.active(), engine.cancelled.length]).toEqual([0, 1]);
    seen.stream.cancel();
    expect(engine.cancelled.length).toBe(1);
  }
  const { clock, seen } = play(() => [{ text: 'a' }, { text: 'b' }]);
  seen.stream.pause();
  clock.run();
  expect(seen.events).toEqual([]);
  seen.stream.resume();
  seen.stream.resume();
  expect(seen.events).toEqual([]);
  clock.run();
  expect(seen.events).toEqual(['accepted', 'text:a', 'text:b', 'end']);
});

test('[SV2] close ends every stream, and refuses new ones', () => {
  const { clock, engine, seen } = play(() => [{ text: 'a' }, { stall: true }]);
  clock.run();
  engine.close();
  const late = run(engine, ask('late'));
  clock.run();
  expect([seen.events, late.events]).toEqual([['accepted', 'text:a', 'fail:shutting-down'], ['fail:shutting-down']]);
});

test('[IN7] the configuration names the engine, and no other answers', async () => {
  const clock = simClock();
  const demo = createInference({ engine: 'demo', paceMs: 0 }, { log: quiet, clock });
  const seen = run(demo, ask('hello', { model: 'some-model' }));
  clock.run();
  expect(seen.accepted).toEqual({ model: 'demo', provider: 'demo' });
  expect(demo.status()).toEqual({ engine: 'demo', model: 'demo' });
  const lmx = createInference({ engine: 'lmx', host: '203.0.113.7', port: 1, loopbackOnly: true }, { log: quiet });
  expect(lmx.status()).toMatchObject({ engine: 'lmx', identity: 'unasked', activeStreams: 0 });
  const refused = run(lmx, ask('x'));
  await refused.over;
  expect(refused.events).toEqual(['fail:loopback-only']);
  demo.close();
  lmx.close();
});
