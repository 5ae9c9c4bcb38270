import { expect, test } from 'vitest';
import { createDemo } from '../../src/inference/demo.ts';
import { understand } from '../../src/inference/demo-intents.ts';
import { ask, run, simClock, toolTalk } from './bench.ts';

const tools = ['list_dir', 'read_file', 'search_files', 'find_files', 'write_file', 'edit_file', 'ask_user'].map(
  (name) => ({
    name,
    description: name,
    parameters: { type: 'object' },
  }),
);
type Made = Parameters<typeof toolTalk>[1];

const answer = (request: string, made: Made = [], offered = tools) => {
  const clock = simClock();
  const seen = run(createDemo({ clock, paceMs: 0 }), ask('', { messages: toolTalk(request, made), tools: offered }));
  clock.run();
  expect(seen.accepted).toEqual({ model: 'demo', provider: 'demo' });
  expect(seen.text.startsWith('[demo] ')).toBe(true);
  return { text: seen.text, calls: (seen.end?.calls ?? []).map((c) => [c.name, JSON.parse(c.args) as object]) };
};

test.each([
  ['list the files', 'list_dir', { path: '.' }],
  ['ls src', 'list_dir', { path: 'src' }],
  ['Please list the files in src/actors.', 'list_dir', { path: 'src/actors' }],
  ['What files are in this folder?', 'list_dir', { path: '.' }],
  ["what's in this folder", 'list_dir', { path: '.' }],
  ['list everything in docs', 'list_dir', { path: 'docs', recursive: true }],
  ['how many files are there in test?', 'list_dir', { path: 'test', recursive: true }],
  ['summarise the layout of this folder', 'list_dir', { path: '.', recursive: true }],
  ['Summarize this project', 'list_dir', { path: '.', recursive: true }],
  ['give me an overview of src', 'list_dir', { path: 'src', recursive: true }],
  ['read README.md', 'read_file', { path: 'README.md' }],
  ['show me the file "my notes.txt"', 'read_file', { path: 'my notes.txt' }],
  ['What is in package.json?', 'read_file', { path: 'package.json' }],
  ['cat src/main.ts', 'read_file', { path: 'src/main.ts' }],
  ['summarise docs/SPEC.md', 'read_file', { path: 'docs/SPEC.md' }],
  ['how many lines has package.json?', 'read_file', { path: 'package.json' }],
  ['count the lines of src/main.ts', 'read_file', { path: 'src/main.ts' }],
  ['search for "TODO" in src', 'search_files', { pattern: 'TODO', path: 'src' }],
  ['grep a.b(c)', 'search_files', { pattern: 'a\\.b\\(c', path: '.' }],
  ['search for /foo.*bar/ in src', 'search_files', { pattern: 'foo.*bar', path: 'src' }],
  ['where is createLmx defined?', 'search_files', { pattern: 'createLmx', path: '.' }],
  ['find all uses of OptaError in src', 'search_files', { pattern: 'OptaError', path: 'src' }],
  ['count occurrences of TODO', 'search_files', { pattern: 'TODO', path: '.' }],
  ['how many times does "port" occur in src', 'search_files', { pattern: 'port', path: 'src' }],
  ['find *.ts', 'find_files', { pattern: '**/*.ts', path: '.' }],
  ['find files named limits in src', 'find_files', { pattern: '**/*limits*', path: 'src' }],
  ['find the file package.json', 'find_files', { pattern: '**/package.json', path: '.' }],
  ['how many .ts files are there?', 'find_files', { pattern: '**/*.ts', path: '.' }],
  ['how many ts files are in src', 'find_files', { pattern: '**/*.ts', path: 'src' }],
  ['write a note saying buy milk', 'write_file', { path: 'note.md', content: 'buy milk\n' }],
  ['note: call Ada', 'write_file', { path: 'note.md', content: 'call Ada\n' }],
  [
    'create a file called hello.txt with the text Hello, world!',
    'write_file',
    { path: 'hello.txt', content: 'Hello, world!\n' },
  ],
  ['write "one two" to a/b.txt', 'write_file', { path: 'a/b.txt', content: 'one two\n' }],
  ['ask me what to call it', 'ask_user', { question: 'what to call it' }],
  ['Ask me: is 10:30 fine?', 'ask_user', { question: 'is 10:30 fine?' }],
  [
    'ask me which colour: red, green or "light blue"',
    'ask_user',
    { question: 'which colour', options: ['red', 'green', 'light blue'] },
  ],
  ['replace "foo bar" with "baz" in src/x.ts', 'edit_file', { path: 'src/x.ts', old_text: 'foo bar', new_text: 'baz' }],
])('[IN7] %j becomes a real call', (request, name, args) => {
  expect(answer(request).calls).toEqual([[name, args]]);
});

test.each([
  'hello',
  '',
  'write me a poem',
  'why is the sky blue?',
  'refactor everything',
  '🤔',
  'read it',
  'x'.repeat(50_000),
  'how many lines '.repeat(50_000),
])('[IN7] what it does not understand gets no call and says what it can do: %.30s', (request) => {
  const { text, calls } = answer(request);
  expect(calls).toEqual([]);
  expect(text).toMatch(/demo engine: fixed rules, no model/);
});

test('[IN7, PM7] an answer is told as it was given, and written down when that was asked for; none is said to be none', () => {
  const made = (result: string) => [{ name: 'ask_user', args: { question: 'which colour' }, result }];
  expect(answer('ask me which colour', made('green, I think')).text).toContain('You answered: green, I think');
  expect(answer('ask me which colour and save it to c.txt', made('green')).calls).toEqual([
    ['write_file', { path: 'c.txt', content: 'You answered: green\n' }],
  ]);
  expect(answer('ask me which colour', made('No answer: nobody gave one in time.')).text).toContain(
    'ask_user gave no result: No answer: nobody gave one in time.',
  );
});

test('[IN7] a folder is told as the tool listed it', () => {
  const result = '.git/\nREADME.md\t2048\nsrc/\nlink -> src\na b.txt\t10\n[5 of 9 entries shown]';
  const { text, calls } = answer('list the files', [{ name: 'list_dir', args: { path: '.' }, result }]);
  expect(calls).toEqual([]);
  for (const part of ['.git/', 'README.md (2.0 KB)', 'a b.txt (10 bytes)', '5 of 9 entries shown'])
    expect(text).toContain(part);
});

test('[IN7] a layout takes two looks and tells both', () => {
  const listing = {
    name: 'list_dir',
    args: { path: 'app', recursive: true },
    result: 'README.md\t100\npackage.json\t50\nsrc/\nsrc/a.ts\t10\nsrc/b.ts\t20\ndocs/\ndocs/x.md\t5\n',
  };
  const second = answer('summarise the layout of app', [listing]);
  expect(second.calls).toEqual([
    ['read_file', { path: 'app/README.md', limit: 60 }],
    ['read_file', { path: 'app/package.json', limit: 60 }],
  ]);
  const readme = {
    name: 'read_file',
    args: { path: 'app/README.md' },
    result: '1\t# App\n2\t\n3\tIt counts sheep.\n4\tAll of them.\n5\t\n6\tMore.\n',
  };
  const pkg = {
    name: 'read_file',
    args: { path: 'app/package.json' },
    result: '1\t{\n2\t  "name": "sheep",\n3\t  "version": "1.2.3"\n4\t}\n',
  };
  const { text, calls } = answer('summarise the layout of app', [listing, readme, pkg]);
  expect(calls).toEqual([]);
  for (const part of [
    '5 files (185 bytes) and 2 folders',
    '.ts 2',
    '.md 2',
    'src/: 2 files',
    'It counts sheep.\nAll of them.',
    'sheep, 1.2.3',
  ])
    expect(text).toContain(part);
  expect(text).not.toContain('More.');
});

test('[IN7] a file, a search, a count and a find are told from their results', () => {
  const read = answer('read a.md', [
    {
      name: 'read_file',
      args: { path: 'a.md' },
      result: '1\t# One\n2\t\n3\ttext\n4\t## Two\n[more lines follow; go on with offset 5]',
    },
  ]);
  for (const part of ['4 lines', '- One', '- Two', 'text', 'go on with offset 5']) expect(read.text).toContain(part);
  const lines = answer('how many lines has a.md', [
    { name: 'read_file', args: { path: 'a.md' }, result: '1\tx\n2\ty\n' },
  ]);
  expect(lines.text).toContain('2 lines');
  const hits = {
    name: 'search_files',
    args: { pattern: 'TODO', path: '.' },
    result: 'src/a.ts:3: // TODO x\nsrc/a.ts:9: // TODO y\nb.ts:1: TODO\n',
  };
  expect(answer('search for TODO', [hits]).text).toContain('3 lines in 2 files match `TODO`');
  expect(answer('search for TODO', [hits]).text).toContain('src/a.ts:9: // TODO y');
  expect(answer('count occurrences of TODO', [hits]).text).toContain('src/a.ts: 2');
  expect(answer('search for TODO', [{ ...hits, result: '[no match]' }]).text).toContain('Nothing matches');
  const found = { name: 'find_files', args: { pattern: '**/*.ts', path: '.' }, result: 'a.ts\nb c.ts\n' };
  expect(answer('find *.ts', [found]).text).toContain('2 files match `**/*.ts`:\n- a.ts\n- b c.ts');
  expect(answer('find *.ts', [{ ...found, result: '[no file matches]' }]).text).toContain('Nothing matches');
});

test('[IN7] more than it can show is counted', () => {
  const result = Array.from({ length: 50 }, (_, i) => `f${i}.ts`).join('\n');
  const { text } = answer('find *.ts', [{ name: 'find_files', args: { pattern: '**/*.ts' }, result }]);
  expect(text).toContain('50 files');
  expect(text).toContain('and 30 more');
  expect(text).not.toContain('f20.ts');
});

test('[IN7] a result is saved in a second call, and only what was written is said to be written', () => {
  const listing = { name: 'list_dir', args: { path: 'src' }, result: 'a.ts\t10\n' };
  const request = 'list the files in src and save it to out/NOTES.md';
  expect(answer(request).calls).toEqual([['list_dir', { path: 'src' }]]);
  const [[name, args]] = answer(request, [listing]).calls as [[string, { path: string; content: string }]];
  expect([name, args.path]).toEqual(['write_file', 'out/NOTES.md']);
  expect(args.content).toContain('a.ts (10 bytes)');
  const written = { name, args, result: 'Created out/NOTES.md (40 bytes)' };
  expect(answer(request, [listing, written]).text).toContain('Created out/NOTES.md (40 bytes).');
  for (const result of [
    'Not allowed here (mode). Go on without it.',
    'Error (outside-workspace): no',
    'The call was not allowed (timeout).',
  ]) {
    const { text, calls } = answer(request, [listing, { ...written, result }]);
    expect(calls).toEqual([]);
    expect(text).toContain(`It was not saved: ${result}`);
  }
});

test.each([
  ['list the files', 'list_dir'],
  ['read a.md', 'read_file'],
  ['search for x', 'search_files'],
  ['find *.ts', 'find_files'],
  ['write a note saying x', 'write_file'],
  ['replace a with b in c.txt', 'edit_file'],
])('[IN7] %j: an error or a refusal is told as it is, and nothing else', (request, name) => {
  for (const result of [
    'Error (not-found): there is no such file',
    'Not allowed here (mode). Go on without it.',
    'The call was not allowed (timeout).',
  ])
    expect(answer(request, [{ name, args: {}, result }])).toEqual({
      text: `[demo] ${name} gave no result: ${result}`,
      calls: [],
    });
});

test('[PM4] a tool that is not offered is not called', () => {
  const readers = tools.filter((t) => !/write|edit/.test(t.name));
  expect(answer('write a note saying x', [], readers)).toMatchObject({
    calls: [],
    text: expect.stringContaining('write_file'),
  });
  expect(answer('list the files and save it to a.md', [], readers).calls).toEqual([]);
  expect(answer('list the files', [], []).calls).toEqual([]);
});

test('[IN7] results of an earlier turn are not taken for this one', () => {
  const earlier = toolTalk('list the files', [{ name: 'list_dir', args: { path: '.' }, result: 'old.txt\t1\n' }]);
  const clock = simClock();
  const messages = [
    ...earlier,
    { role: 'assistant' as const, content: 'done' },
    { role: 'user' as const, content: 'list the files' },
  ];
  const seen = run(createDemo({ clock, paceMs: 0 }), ask('', { messages, tools }));
  clock.run();
  expect(seen.end?.calls.length).toBe(1);
  expect(seen.text).not.toContain('old.txt');
});

test('[IN7] the same request gives the same answer; a long one counts so that a gap would show', () => {
  const stream = (request: string) => {
    const clock = simClock();
    const seen = run(createDemo({ clock, paceMs: 0 }), ask(request));
    clock.run();
    return seen;
  };
  const seen = stream('stream 500 words');
  expect(seen.text).toBe(`[demo] Counting to 500:${Array.from({ length: 500 }, (_, i) => ` word-${i + 1}`).join('')}`);
  expect(stream('stream 500 words').events).toEqual(seen.events);
  expect(seen.end?.usage?.completionTokens).toBe(504);
  expect(understand('stream 999999999 words at 99999999 a second').call[1]).toEqual({
    words: 1_000_000,
    perSecond: 10_000,
  });
  const clock = simClock();
  const paced = run(createDemo({ clock }), ask('stream 1000 words at 100 per second'));
  clock.run(5_000);
  expect(paced.end).toBeNull();
  paced.stream.cancel();
  const heard = paced.events.length;
  clock.run();
  expect([heard, paced.events.length]).toEqual([501, 501]);
});
