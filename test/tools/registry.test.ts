import fc from 'fast-check';
import { expect, test } from 'vitest';
import { offered, plan, type Reach } from '../../src/tools/registry.ts';

const READERS = ['list_dir', 'read_file', 'search_files', 'find_files', 'git_status', 'git_diff', 'git_log'];
const WRITERS = ['write_file', 'edit_file', 'multi_edit', 'delete_file', 'save_memory'];
const NETWORK = ['web_fetch'];
const EXEC = ['run_command', 'bg_start', 'bg_kill'];
const DELEGATE = ['spawn_agent', 'delegate_task'];
const WATCH = ['bg_status', 'bg_output'];
const QUESTIONS = ['ask_user'];

const names = (mode: string, reach?: Reach): string[] =>
  offered({ mode }, reach)
    .map((t) => t.name)
    .sort();

test('[PM4] only chat and do offer writers; a mode that nobody knows offers none', () => {
  for (const mode of ['chat', 'do']) expect(names(mode)).toEqual([...READERS, ...WRITERS, ...QUESTIONS].sort());
  for (const mode of ['plan', 'review', 'research', '', 'DO', '__proto__'])
    expect(names(mode)).toEqual([...READERS, ...QUESTIONS].sort());
});

test('[TL8] where only loopback is reached web_fetch is not offered, and refused; else chat, do and research have it', () => {
  const online = { online: true, commands: true };
  for (const mode of ['chat', 'do'])
    expect(names(mode, online)).toEqual(
      [...READERS, ...WATCH, ...WRITERS, ...EXEC, ...DELEGATE, ...NETWORK, ...QUESTIONS].sort(),
    );
  expect(names('research', online)).toEqual([...READERS, ...WATCH, ...NETWORK, ...QUESTIONS].sort());
  expect(names('do', { online: false, commands: true })).toEqual(
    [...READERS, ...WATCH, ...WRITERS, ...EXEC, ...DELEGATE, ...QUESTIONS].sort(),
  );
  for (const mode of ['plan', 'review', '']) expect(names(mode, online)).not.toContain('web_fetch');
  const call = '{"url":"https://example.com/"}';
  expect(plan('web_fetch', call)).toMatch(/^Error \(loopback-only\): web_fetch is off here/);
  expect(plan('nope', '{}')).not.toContain('web_fetch');
  expect(plan('web_fetch', call, online)).toMatchObject({
    toolClass: 'network',
    summary: 'Fetch https://example.com/',
  });
});

test('[PM4] every tool says its class, and takes no argument that it does not know', () => {
  for (const { name, parameters } of offered({ mode: 'do' }, { online: true, commands: true })) {
    expect(parameters).toMatchObject({ type: 'object', additionalProperties: false });
    expect(JSON.stringify(parameters)).not.toContain('$schema');
    const args = {
      path: 'a',
      pattern: 'x',
      content: 'c',
      old_text: 'o',
      new_text: 'n',
      question: 'q',
      url: 'http://a.example/',
      edits: [{ old_text: 'o', new_text: 'n' }],
      command: 'true',
      id: 'p1',
      task: 't',
      plan: 'p',
      subtasks: [{ task: 't' }],
    };
    const own = Object.keys((parameters as { properties: object }).properties);
    const picked = Object.fromEntries(Object.entries(args).filter(([k]) => own.includes(k)));
    const planned = plan(name, JSON.stringify(picked), { online: true, commands: true });
    const toolClass = WRITERS.includes(name)
      ? 'write'
      : DELEGATE.includes(name)
        ? 'delegate'
        : EXEC.includes(name)
          ? 'exec'
          : QUESTIONS.includes(name)
            ? 'question'
            : NETWORK.includes(name)
              ? 'network'
              : 'read';
    expect(planned).toMatchObject({ toolClass, args: picked });
    expect(plan(name, JSON.stringify({ ...picked, sudo: 'rm' }), { online: true, commands: true })).toMatch(
      /^Error \(invalid-request\).*sudo/,
    );
  }
});

test.each([
  ['run_command', '{}', 'tool-unknown'],
  ['__proto__', '{}', 'tool-unknown'],
  ['constructor', '{}', 'tool-unknown'],
  ['read_file', '{"path":"a"', 'invalid-json'],
  ['read_file', '{"path":"a"} {}', 'invalid-json'],
  ['read_file', '[]', 'invalid-request'],
  ['read_file', 'null', 'invalid-request'],
  ['read_file', '', 'invalid-request'],
  ['read_file', '{"path":""}', 'invalid-request'],
  ['read_file', '{"path":7}', 'invalid-request'],
  ['read_file', '{"path":"a\\u0000b"}', 'invalid-request'],
  ['read_file', '{"path":"a","offset":0}', 'invalid-request'],
  ['read_file', '{"path":"a","offset":1.5}', 'invalid-request'],
  ['read_file', '{"path":"a","__proto__":{}}', 'invalid-request'],
  ['write_file', '{"path":"a"}', 'invalid-request'],
  ['write_file', '{"path":"a","content":"\\ud83d"}', 'invalid-request'],
  ['edit_file', '{"path":"a","old_text":"","new_text":"x"}', 'invalid-request'],
  ['git_diff', '{"base":"--output=x"}', 'invalid-request'],
  ['git_diff', '{"base":""}', 'invalid-request'],
  ['git_log', '{"limit":0}', 'invalid-request'],
  ['git_log', '{"limit":501}', 'invalid-request'],
  ['save_memory', '{"content":" \\n"}', 'invalid-request'],
  ['save_memory', '{"content":"a","category":"a] b"}', 'invalid-request'],
  ['save_memory', JSON.stringify({ content: 'x'.repeat(2_001) }), 'invalid-request'],
  ['web_fetch', '{"url":"https://example.com/"}', 'loopback-only'],
  ['ask_user', '{}', 'invalid-request'],
  ['ask_user', '{"question":""}', 'invalid-request'],
  ['ask_user', '{"question":"q","options":[""]}', 'invalid-request'],
  ['ask_user', JSON.stringify({ question: 'x'.repeat(8_001) }), 'invalid-request'],
  ['ask_user', JSON.stringify({ question: 'q', options: Array(21).fill('a') }), 'invalid-request'],
  ['write_file', JSON.stringify({ path: 'a', content: 'x'.repeat(4 << 20) }), 'payload-too-large'],
])('[TL1] %s with bad arguments gives the model an error (%#)', (name, args, code) => {
  const error = plan(name, args);
  expect(error).toMatch(new RegExp(`^Error \\(${code}\\): `));
  expect((error as string).length).toBeLessThan(1_000);
});

test('[TL1] a call without arguments may come as an empty text', () => {
  expect(plan('list_dir', ' ')).toMatchObject({ toolClass: 'read', summary: 'List .', args: {} });
});

test('[PM1] what a person is asked is one short line, whatever the arguments hold', () => {
  const any = fc.string({ unit: 'binary', minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(any, any, (path, content) => {
      const planned = plan('write_file', JSON.stringify({ path, content }));
      if (typeof planned === 'string') return;
      expect(planned.summary).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      expect(planned.summary.length).toBeLessThanOrEqual(300);
      expect(planned.args).toEqual({ path, content });
    }),
    { numRuns: 50 },
  );
});

test('[PM4] no text whatsoever makes plan throw', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom(...READERS, ...WRITERS, ...NETWORK), fc.string()),
      fc.oneof(fc.json(), fc.string()),
      (n, a) => {
        const planned = plan(n, a);
        expect(typeof planned === 'string' ? planned.startsWith('Error (') : planned.summary !== '').toBe(true);
      },
    ),
  );
});
