import fc from 'fast-check';
import { expect, test } from 'vitest';
import { offered, plan } from '../../src/tools/registry.ts';

const READERS = ['list_dir', 'read_file', 'search_files', 'find_files'];
const WRITERS = ['write_file', 'edit_file', 'multi_edit', 'delete_file'];
const QUESTIONS = ['ask_user'];

test('[PM4] only chat and do offer writers; a mode that nobody knows offers none', () => {
  for (const mode of ['chat', 'do'])
    expect(offered({ mode }).map((t) => t.name)).toEqual([...READERS, ...WRITERS, ...QUESTIONS]);
  for (const mode of ['plan', 'review', 'research', '', 'DO', '__proto__']) {
    expect(offered({ mode }).map((t) => t.name)).toEqual([...READERS, ...QUESTIONS]);
  }
});

test('[PM4] every tool says its class, and takes no argument that it does not know', () => {
  for (const { name, parameters } of offered({ mode: 'do' })) {
    expect(parameters).toMatchObject({ type: 'object', additionalProperties: false });
    expect(JSON.stringify(parameters)).not.toContain('$schema');
    const args = {
      path: 'a',
      pattern: 'x',
      content: 'c',
      old_text: 'o',
      new_text: 'n',
      question: 'q',
      edits: [{ old_text: 'o', new_text: 'n' }],
    };
    const own = Object.keys((parameters as { properties: object }).properties);
    const picked = Object.fromEntries(Object.entries(args).filter(([k]) => own.includes(k)));
    const planned = plan(name, JSON.stringify(picked));
    const toolClass = WRITERS.includes(name) ? 'write' : QUESTIONS.includes(name) ? 'question' : 'read';
    expect(planned).toMatchObject({ toolClass, args: picked });
    expect(plan(name, JSON.stringify({ ...picked, command: 'rm' }))).toMatch(/^Error \(invalid-request\).*command/);
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
      fc.oneof(fc.constantFrom(...READERS, ...WRITERS), fc.string()),
      fc.oneof(fc.json(), fc.string()),
      (n, a) => {
        const planned = plan(n, a);
        expect(typeof planned === 'string' ? planned.startsWith('Error (') : planned.summary !== '').toBe(true);
      },
    ),
  );
});
