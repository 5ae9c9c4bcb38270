import type { Case, Family, World } from '../case.ts';

/** In a fixed order: the newest change first is the last that was made. */
const prepare = async ({ daemon }: World): Promise<void> => {
  const make = (sessionId: string, more: object) => daemon.post('/v3/sessions', { sessionId, ...more });
  await make('meadow-notes', { title: '', model: 'other-model', metadata: { workspace: '/tmp' } });
  await make('harbour-lights', {
    title: 'harbour lights',
    metadata: { workspace: '/tmp', tags: ['sea', 'work'] },
    messages: [
      { role: 'user', content: 'Where is the harbour?' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'find_files', arguments: '{"pattern":"*"}' } }],
      },
      { role: 'tool', content: 'harbour.txt', tool_call_id: 'c1' },
      { role: 'assistant', content: 'In harbour.txt.' },
    ],
  });
  await make('harbour-master', { title: 'harbour master' });
};

const SHOWN: Case[] = [
  { name: 'list', args: ['sessions'] },
  { name: 'list-json', args: ['sessions', 'list', '--json'] },
  { name: 'list-model', args: ['sessions', 'list', '--json', '--model', 'OTHER'] },
  { name: 'list-tag', args: ['sessions', '--json', '--tag', 'sea'] },
  { name: 'list-limit', args: ['sessions', '--limit', '1', '--json'] },
  { name: 'list-since', args: ['sessions', '--since', '2999-01-01', '--json'] },
  { name: 'list-since-weeks', args: ['sessions', '--since', '2w', '--limit', '1'] },
  { name: 'list-source-hybrid', args: ['sessions', 'list', '--json', '--source', 'hybrid', '--limit', '1'] },
  { name: 'list-source-lmx', args: ['sessions', 'list', '--json', '--source', 'lmx', '--limit', '1'] },
  { name: 'list-deleted', args: ['sessions', 'list', '--json', '--deleted'] },
  { name: 'list-deleted-text', args: ['sessions', 'list', '--deleted'] },
  { name: 'search', args: ['sessions', 'search', 'harbour'] },
  { name: 'search-json', args: ['sessions', 'find', 'harbour', 'master', '--json'] },
  { name: 'search-filtered', args: ['sessions', 'search', 'harbour', '--json', '--tag', 'work'] },
  { name: 'search-nothing', args: ['sessions', 'search', 'volcano'] },
  { name: 'search-nothing-json', args: ['sessions', 'search', 'volcano', '--json'] },
  { name: 'show', args: ['sessions', 'show', 'harbour-lights'] },
  { name: 'show-json', args: ['sessions', 'show', 'harbour-l', '--json', '--limit', '1'] },
  { name: 'export', args: ['sessions', 'export', 'harbour-lights'] },
  { name: 'export-jsonl', args: ['sessions', 'export', 'harbour-master', '--format', 'jsonl'] },
  { name: 'export-markdown', args: ['sessions', 'export', 'harbour-lights', '-f', 'markdown'] },
  { name: 'export-file', args: ['sessions', 'export', 'harbour-lights', '-o', 'out.json'], show: ['out.json'] },
  {
    name: 'export-file-json',
    args: ['sessions', 'export', 'harbour-lights', '-f', 'md', '-o', 'out.md', '--json'],
    show: ['out.md'],
  },
  { name: 'queue', args: ['sessions', 'queue', 'harbour-lights'] },
  { name: 'queue-json', args: ['sessions', 'queue', 'harbour-lights', '--json'] },
  { name: 'help', args: ['sessions', '--help'] },
];

const FAILED: Case[] = [
  ...['show', 'export', 'resume', 'delete', 'rm', 'search', 'fork', 'tag', 'queue', 'undelete'].map(
    (action): Case => ({
      name: `${action}-needs-more`,
      args: ['sessions', action, ...(action === 'rm' ? ['--json'] : [])],
    }),
  ),
  ...['show', 'export', 'resume', 'delete', 'fork', 'untag', 'queue', 'undelete'].map(
    (action): Case => ({
      name: `${action}-missing`,
      args: ['sessions', action, 'nobody-here', '--json'],
    }),
  ),
  { name: 'export-missing-text', args: ['sessions', 'export', 'nobody-here', '-o', 'out.json'] },
  { name: 'delete-not-an-id', args: ['sessions', 'delete', '../../etc', '--json'] },
  { name: 'ambiguous', args: ['sessions', 'delete', 'harbour-', '--json'] },
  { name: 'ambiguous-text', args: ['sessions', 'show', 'harbour-'] },
  { name: 'unknown-action', args: ['sessions', 'frobnicate'] },
  { name: 'unknown-action-json', args: ['sessions', 'frobnicate', '--json'] },
  { name: 'unknown-format', args: ['sessions', 'export', 'harbour-lights', '--format', 'pdf'] },
  { name: 'unknown-source', args: ['sessions', 'list', '--source', 'moon', '--json'] },
  { name: 'bad-since', args: ['sessions', 'list', '--since', 'soon', '--json'] },
  { name: 'bad-since-text', args: ['sessions', 'list', '--since', '7y'] },
  { name: 'bad-limit', args: ['sessions', 'list', '--limit', '0', '--json'] },
  { name: 'tag-needs-a-tag', args: ['sessions', 'tag', 'harbour-lights', '--json'] },
  { name: 'export-no-folder', args: ['sessions', 'export', 'harbour-lights', '-o', 'no/such/out.json', '--json'] },
  {
    name: 'daemon-of-another-contract',
    in: 'empty',
    args: ['sessions', 'list', '--json'],
    before: (world) =>
      world.fakeDaemon((fake) => {
        fake.contract = { name: 'opta-daemon-v4', version: 2 };
      }),
  },
];

/** Each with a session of its own, after those that list: alone. */
const changing = (name: string, args: string[], more: object = {}): Case => ({
  name,
  args: args.map((arg) => (arg === 'ID' ? `river-${name}` : arg)),
  alone: true,
  before: ({ daemon }) => daemon.post('/v3/sessions', { sessionId: `river-${name}`, title: name, ...more }),
});
const CHANGES: Case[] = [
  changing('delete', ['sessions', 'delete', 'ID']),
  changing('delete-json', ['sessions', 'rm', 'ID', '--json']),
  {
    ...changing('undelete', ['sessions', 'undelete', 'river-undel']),
    before: async ({ daemon, opta }) => {
      await daemon.post('/v3/sessions', { sessionId: 'river-undelete' });
      await opta('sessions', 'delete', 'river-undelete');
    },
  },
  changing('fork', ['sessions', 'fork', 'ID'], { messages: [{ role: 'user', content: 'first' }] }),
  changing('fork-json', ['sessions', 'fork', 'ID', '--at', '1', '--json']),
  changing('tag', ['sessions', 'tag', 'ID', 'wet', 'wide']),
  changing('tag-json', ['sessions', 'tag', 'ID', 'wet', '--json'], { metadata: { tags: ['wide'] } }),
  changing('untag-json', ['sessions', 'untag', 'ID', '--json'], { metadata: { tags: ['wide', 'wet'] } }),
];

export default { prepare, cases: [...SHOWN, ...FAILED, ...CHANGES] } satisfies Family;
