import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHARTS, toMermaid } from '../../src/actors/charts.ts';

const folder = process.argv[2] ?? 'docs/statecharts';
mkdirSync(folder, { recursive: true });
for (const [name, machine] of Object.entries(CHARTS)) writeFileSync(join(folder, `${name}.mmd`), toMermaid(machine));
