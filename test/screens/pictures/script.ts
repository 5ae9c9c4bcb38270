import type { Directive } from '../../support/fake-lmx.ts';

/** The conversation of the pictures: one that shows what there is to be shown, in words that people would use. */
export const FIRST = 'Why does the nightly export miss the last day of a month?';
export const SECOND = 'Fix it, and add a test for February.';
export const WAITING = ['and then bump the version', 'Write the changelog entry for it, please.'] as const;

const DAYS = `/** Days of the month that have to be exported. */
export const daysOf = (year: number, month: number): number[] => {
  const last = new Date(year, month, 0).getDate();
  return Array.from({ length: last - 1 }, (_, i) => i + 1);
};
`;

export const FILES = {
  'src/export/days.ts': DAYS,
  'src/export/run.ts': "import { daysOf } from './days.ts';\n",
  'test/days.test.ts': "import { daysOf } from '../src/export/days.ts';\n",
};

const WHY = `The range ends one day early. In \`src/export/days.ts\`:

\`\`\`ts
const last = new Date(year, month, 0).getDate();
return Array.from({ length: last - 1 }, (_, i) => i + 1);
\`\`\`

\`last\` is already the number of days, so **\`last - 1\` drops the last one**:

| Month | Days | Exported |
|---|---|---|
| February 2026 | 28 | 27 |
| November 2026 | 30 | 29 |

Names with wide signs such as 日報 or 📦 are not affected.`;

export const SCRIPTS: { readonly [prompt: string]: Directive } = {
  [FIRST]: {
    think: 'The export walks over days. The off-by-one is probably where the range is made.',
    reasoning: true,
    tools: [
      { name: 'search_files', args: { pattern: 'daysOf' } },
      { name: 'read_file', args: { path: 'src/export/days.ts' } },
    ],
    text: WHY,
    tps: 400,
  },
  [SECOND]: {
    tools: [
      {
        name: 'edit_file',
        args: {
          path: 'src/export/days.ts',
          old_text: '{ length: last - 1 }',
          new_text: '{ length: last }',
        },
      },
    ],
    text: 'Done: the range now ends with the last day. The test for February comes next.',
    tps: 400,
  },
};
