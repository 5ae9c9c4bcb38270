import { torture } from './kill9.ts';
import { PLANS, type Plan } from './plans.ts';

/** `npm run torture -- --rounds N --seed S [--plan P]`: prints the figures; exit 1 when anything was lost. */
const arg = (name: string): string | undefined => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? undefined : process.argv[i + 1];
};

const rounds = Number(arg('rounds') ?? 100);
const seed = Number(arg('seed') ?? Date.now() % 1_000_000);
const plan = arg('plan');
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) || (plan && !PLANS.includes(plan as Plan))) {
  process.stderr.write(`torture: --rounds N --seed S --plan ${PLANS.join('|')}\n`);
  process.exit(2);
}
const report = await torture({
  rounds,
  seed,
  ...(plan === undefined ? {} : { plans: [plan as Plan] }),
  onRound: (line) => process.stderr.write(`${line}\n`),
});
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.exitCode = report.violations.length === 0 ? 0 : 1;
