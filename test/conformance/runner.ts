import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadVectors, type Need, type Vector } from './format.ts';
import { play, type Subject } from './play.ts';
import { foreignSubject, type OpenSubject, ownSubject } from './subject.ts';

/**
 * `npm run conformance`: plays the vectors of docs/conformance against a daemon of our own, or with `-- --url U --token T` against
 * a running one. One line for each vector; exit 1 when one fails, 2 for a wrong call.
 */
export const FOLDER = fileURLToPath(new URL('../../docs/conformance', import.meta.url));

export interface Outcome {
  vector: Vector;
  /** Null: it holds. */
  failure: string | null;
  /** What the vector needs and this daemon was not said to have; not empty: it was left out. */
  lacks: Need[];
}

export const runVectors = async (
  vectors: readonly Vector[],
  subject: Subject & { has: readonly Need[] },
  onOutcome: (outcome: Outcome) => void = () => undefined,
): Promise<Outcome[]> => {
  const outcomes: Outcome[] = [];
  for (const vector of vectors) {
    const lacks = vector.needs.filter((need) => !subject.has.includes(need));
    const failure =
      lacks.length > 0
        ? null
        : await play(vector, subject).then(
            () => null,
            (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
          );
    const outcome = { vector, failure, lacks };
    outcomes.push(outcome);
    onOutcome(outcome);
  }
  return outcomes;
};

export const lineOf = ({ vector, failure, lacks }: Outcome): string => {
  if (lacks.length > 0) return `skip  ${vector.title}: needs ${lacks.join(', ')}`;
  return failure === null ? `ok    ${vector.title}` : `FAIL  ${vector.title}: ${failure}`;
};

const USAGE = `conformance: [--only RULE,…] [--vectors FOLDER]
             [--url URL --token TOKEN [--observer-token TOKEN] [--model-port PORT]]`;

interface Options {
  only?: string;
  vectors?: string;
  url?: string;
  token?: string;
  'observer-token'?: string;
  'model-port'?: string;
}

const options = (): Options => {
  const string = { type: 'string' } as const;
  const names = ['only', 'vectors', 'url', 'token', 'observer-token', 'model-port'] as const;
  return parseArgs({ options: Object.fromEntries(names.map((name) => [name, string])) }).values as Options;
};

const subjectOf = (given: Options): Promise<OpenSubject> => {
  if (given.url === undefined && given.token === undefined) return ownSubject(transportEnv());
  if (given.url === undefined || given.token === undefined) throw new TypeError('--url and --token go together');
  const { 'observer-token': observerToken, 'model-port': modelPort } = given;
  return foreignSubject({
    url: given.url.replace(/\/$/, ''),
    token: given.token,
    ...(observerToken === undefined ? {} : { observerToken }),
    ...(modelPort === undefined ? {} : { modelPort: Number(modelPort) }),
  });
};

const transportEnv = (): { [name: string]: string } =>
  process.env.OPTA_TRANSPORT === undefined ? {} : { OPTA_TRANSPORT: process.env.OPTA_TRANSPORT };

const main = async (): Promise<number> => {
  let given: Options;
  let subject: OpenSubject;
  try {
    given = options();
    subject = await subjectOf(given);
  } catch (cause) {
    process.stderr.write(`conformance: ${cause instanceof Error ? cause.message : String(cause)}\n${USAGE}\n`);
    return 2;
  }
  try {
    const rules = given.only?.split(',');
    const all = loadVectors(given.vectors ?? FOLDER);
    const vectors = all.filter((v) => rules === undefined || v.rules.some((rule) => rules.includes(rule)));
    const outcomes = await runVectors(vectors, subject, (o) => process.stdout.write(`${lineOf(o)}\n`));
    const skipped = outcomes.filter((o) => o.lacks.length > 0).length;
    const failed = outcomes.filter((o) => o.failure !== null).length;
    process.stdout.write(`${outcomes.length - skipped - failed} ok, ${failed} failed, ${skipped} skipped\n`);
    // Nothing played is nothing shown.
    return failed > 0 || skipped === outcomes.length ? 1 : 0;
  } finally {
    await subject.close();
  }
};

if (import.meta.filename === process.argv[1]) {
  process.exitCode = await main();
}
