import { expect, test } from 'vitest';
import { stable, visible } from './stable.ts';

const FACTS = { home: '/tmp/home-x1', cwd: '/tmp/home-x1/here', root: '/srv/opta/', version: '1.2.3', lmxPort: 43_210 };

test('[GF1] what a run makes up is named by what it is; equal ids stay equal, different ones different', () => {
  const text = [
    '{"session_id":"aB3dE6gH9jK2","turn_id":"Zz0_-yXwVuT9","pid": 4711,"port":43210,"elapsedMs":17}',
    'session aB3dE6gH9jK2 at http://127.0.0.1:9999, pid 12, version 1.2.3, 3.4 s',
    '/tmp/home-x1/here/a and /tmp/home-x1/b, 2026-01-31T10:20:30.123Z',
  ].join('\n');
  expect(stable(text, FACTS)).toBe(
    [
      '{"session_id":"<id-1>","turn_id":"<id-2>","pid": <pid>,"port":<lmx-port>,"elapsedMs":<n>}',
      'session <id-1> at http://127.0.0.1:<port>, pid <pid>, version <version>, <n> s',
      '<cwd>/a and <home>/b, <time>',
    ].join('\n'),
  );
});

test('[GF1] nothing else is touched: words of twelve letters, names that a test gave, numbers, exit codes', () => {
  const text =
    '{"id":"conversation","sessionId":"well-known-a","exit_code":127,"tool_calls":3}\nsession conversation 42 messages';
  expect(stable(text, FACTS)).toBe(text);
});

test('[GF1] a case may name more, and escape codes are shown', () => {
  expect(stable('model 7 of 9', FACTS, [[/\d of \d/, '<some>']])).toBe('model <some>');
  expect(visible('\u001b[31mred\u001b[0m\tand\n')).toBe('\\x1b[31mred\\x1b[0m\tand\n');
});
