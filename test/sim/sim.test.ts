import { expect, test } from 'vitest';
import { Random } from './random.ts';
import { simulate } from './scenario.ts';

test('[EV1] [EV2] [EV3] [EV4] [EV5] [TQ1] [TQ2] [TQ3] [TQ4] [TQ6] [CX1] [CX2] [CX3] [CX4] [CX5] [PM1] [PM2] [PM3] [PM4] [PM6] [PM7] [CR1] [CR2] [SV1] [SV2] [SV3] [TL2] [BG1] [BG2] [BG3] [BG4] [BG5] 150 worlds with kills, power cuts, full disks and rude models', {
  timeout: 120_000,
}, async () => {
  const from = Number(process.env.OPTA_SIM_SEED ?? 20_000);
  for (let seed = from; seed < from + 150; seed++) {
    const { violations } = await simulate(seed);
    expect(violations, `npm run sim -- --one ${seed}`).toEqual([]);
  }
});

test('[SV2] the same seed gives the same world, to the last byte of its logs', async () => {
  for (const seed of [3, 77, 501]) {
    const [a, b] = [await simulate(seed), await simulate(seed)];
    expect(b).toEqual(a);
  }
  expect(new Random(1).next()).not.toBe(new Random(2).next());
});
