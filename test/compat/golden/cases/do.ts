import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FakeTurn } from '../../../support/fake-daemon.ts';
import type { Case, Family, Running } from '../case.ts';

/** What the inference server is to answer is said by the prompt. */
const saying = (text: string, more: object = {}): string => `say it @@${JSON.stringify({ text, ...more })}@@`;
const calling = (name: string, args: object, text = 'done'): string =>
  `call it @@${JSON.stringify({ tools: [{ name, args }], text })}@@`;
const slow = 'count @@{"tokens":400,"tps":10}@@';

/** A turn that fails in a way of its own, at a daemon of a few lines. */
const failing = (
  name: string,
  code: string,
  outcome: 'error' | 'cancelled' | 'interrupted',
  format = 'json',
): Case => ({
  name,
  in: 'empty',
  args: ['do', '-f', format, 'x'],
  before: (world) =>
    world.fakeDaemon((fake) => {
      fake.script = (turn: FakeTurn) => turn.error(code, outcome, `because ${code}`);
    }),
});

const interrupted = async (running: Running): Promise<void> => {
  await running.said(/tok3/);
  running.child.kill('SIGINT');
};

const results: Case[] = [
  { name: 'text', args: ['do', saying('Grüße, said twice.')] },
  { name: 'text-output-file', args: ['do', '-o', 'out.txt', saying('kept')], show: ['out.txt'] },
  { name: 'json', args: ['do', '--format', 'json', saying('Grüße, “twice” said.')] },
  { name: 'json-output-file', args: ['do', '-f', 'json', '--output', 'out.json', saying('kept')], show: ['out.json'] },
  {
    name: 'json-tool-call',
    args: ['do', '-f', 'json', calling('read_file', { path: 'a.txt' })],
    before: ({ cwd }) => writeFileSync(join(cwd, 'a.txt'), 'alpha\n'),
  },
  {
    name: 'text-tool-call',
    args: ['do', calling('read_file', { path: 'a.txt' })],
    before: ({ cwd }) => writeFileSync(join(cwd, 'a.txt'), 'alpha\n'),
  },
  {
    name: 'auto-writes-a-file',
    args: ['do', '--auto', calling('write_file', { path: 'b.txt', content: 'beta' })],
    show: ['b.txt'],
  },
  { name: 'nobody-to-ask', args: ['do', '-f', 'json', calling('write_file', { path: 'b.txt', content: 'beta' })] },
  {
    name: 'plan-writes-nothing',
    args: ['do', '--mode', 'plan', '--yolo', calling('write_file', { path: 'b.txt', content: 'beta' })],
  },
  { name: 'jsonl', args: ['do', '-f', 'jsonl', saying('one')] },
  { name: 'quiet', args: ['do', '--quiet', saying('nobody reads this')] },
  { name: 'quiet-wins-over-json', args: ['do', '-q', '-f', 'json', '-o', 'out.txt', saying('raw')], show: ['out.txt'] },
  { name: 'task-from-stdin', args: ['do', '-f', 'json'], stdin: saying('from a pipe') },
  { name: 'task-and-stdin', args: ['do', '-f', 'json', saying('from words'), '-'], stdin: 'and from a pipe' },
  { name: 'stdin-closed', args: ['do', '-f', 'json', saying('fine')], stdin: { closed: true } },
  { name: 'ci', args: ['do', saying('fine')], env: { CI: 'true', FORCE_COLOR: '' } },
  { name: 'model', args: ['do', '-f', 'json', '-m', 'other-model', saying('from the other')] },
  { name: 'provider-alias', args: ['do', '-f', 'json', '--provider', 'Local', saying('fine')] },
  { name: 'session', args: ['do', '-f', 'json', '--session', 'do-goes-on', saying('again')] },
  { name: 'unknown-mode', args: ['do', '-f', 'json', '--mode', 'sing', saying('fine')] },
  { name: 'ceo-mode', args: ['do', '-f', 'json', '--mode', 'ceo', saying('fine')] },
  {
    name: 'add-dir',
    args: ['do', '-f', 'json', '--add-dir', '/tmp', '--no-commit', '--no-checkpoints', saying('fine')],
  },
  { name: 'detach', args: ['do', '--detach', saying('later')] },
  { name: 'detach-json', args: ['do', '--detach', '-f', 'json', saying('later')] },
  { name: 'json-schema', args: ['do', '--json-schema', '{"type":"array"}', saying('[1,2]')] },
  { name: 'json-schema-json', args: ['do', '-f', 'json', '--json-schema', '{"type":"array"}', saying('[1,2]')] },
];

const failures: Case[] = [
  { name: 'empty-task', args: ['do', ''] },
  { name: 'empty-task-json', args: ['do', '--format', 'json', '   '] },
  { name: 'no-task', args: ['do'] },
  { name: 'no-task-json', args: ['do', '--format', 'json'] },
  { name: 'unknown-option', args: ['do', '--max-turns', '3', 'x'] },
  { name: 'unknown-option-json', args: ['do', '--format', 'json', '--max-turns', '3', 'x'] },
  { name: 'unknown-format', args: ['do', '-f', 'xml', 'x'] },
  { name: 'invalid-provider', args: ['do', '--provider', 'nope', 'x'] },
  { name: 'invalid-device', args: ['do', '-f', 'json', '--device', 'http://a/b', 'x'] },
  { name: 'invalid-timeout', args: ['do', '-f', 'json', '--timeout', 'soon', 'x'] },
  { name: 'device-of-a-running-daemon', args: ['do', '-f', 'json', '--device', '127.0.0.1:9', 'x'] },
  { name: 'output-folder-missing', args: ['do', '-f', 'json', '-o', 'no/such/out.json', 'x'] },
  { name: 'unknown-session', args: ['do', '-f', 'json', '--session', 'nobody', 'x'] },
  { name: 'unknown-session-text', args: ['do', '--session', 'nobody', 'x'] },
  { name: 'key-without-session', args: ['do', '-f', 'json', '--idempotency-key', 'k', 'x'] },
  { name: 'no-such-model', args: ['do', '-f', 'json', '-m', 'absent-model', 'x'] },
  { name: 'no-such-model-text', args: ['do', '-m', 'absent-model', 'x'] },
  { name: 'no-such-model-quiet', args: ['do', '-q', '-m', 'absent-model', 'x'] },
  { name: 'model-says-no', args: ['do', '-f', 'json', 'fail @@{"error":"out of luck","status":400,"code":"bad"}@@'] },
  { name: 'timeout', args: ['do', '-f', 'json', '--timeout', '5s', slow] },
  { name: 'schema-mismatch', args: ['do', '--json-schema', '{"type":"array"}', saying('{}')] },
  { name: 'schema-mismatch-json', args: ['do', '-f', 'json', '--json-schema', '{"type":"array"}', saying('{}')] },
  { name: 'detach-with-output', args: ['do', '--detach', '-f', 'json', '-o', 'x', 'x'] },
  {
    name: 'interrupted',
    in: 'empty',
    env: { OPTA_MODEL: 'fake-model' },
    args: ['do', slow],
    act: interrupted,
    stable: [[/( tok\d+)+/g, ' <text>']],
  },
  failing('turn-no-model', 'no-model-loaded', 'error'),
  failing('turn-not-permitted', 'host-policy', 'error'),
  failing('turn-cancelled', 'cancelled', 'cancelled'),
  failing('turn-interrupted', 'interrupted', 'interrupted'),
  failing('turn-out-of-memory', 'lmx-out-of-memory', 'error', 'text'),
  failing('turn-failed-jsonl', 'tool-failed', 'error', 'jsonl'),
  failing('turn-unknown-code', 'something-new', 'error'),
];

const daemons: Case[] = [
  {
    name: 'starts-the-daemon',
    in: 'empty',
    env: { OPTA_MODEL: 'fake-model' },
    args: ['do', '-f', 'json', saying('hello')],
  },
  {
    name: 'no-inference-server',
    in: 'empty',
    env: { OPTA_PORT: '9' },
    args: ['do', '-f', 'json', 'x'],
  },
  {
    name: 'daemon-cannot-start',
    in: 'empty',
    args: ['do', '-f', 'json', 'x'],
    // A file stands where its folder has to be.
    before: ({ home }) => writeFileSync(join(home, 'daemon'), ''),
  },
  {
    name: 'broken-settings',
    in: 'empty',
    args: ['do', '-f', 'json', 'x'],
    before: ({ home }) => writeFileSync(join(home, 'config.json'), '{"connection":{"port":"many"}}'),
  },
  {
    name: 'daemon-of-another-contract',
    in: 'empty',
    args: ['do', '-f', 'json', 'x'],
    before: (world) =>
      world.fakeDaemon((fake) => {
        fake.contract = { name: 'opta-daemon-v4', version: 2 };
      }),
  },
  {
    name: 'daemon-of-another-version',
    in: 'empty',
    args: ['do', 'x'],
    before: (world) =>
      world.fakeDaemon((fake) => {
        fake.version = '9.9.9';
      }),
  },
  {
    name: 'daemon-dies',
    in: 'empty',
    args: ['do', '-f', 'json', 'x'],
    before: async (world) => {
      const fake = await world.fakeDaemon();
      fake.script = (turn) => {
        turn.token('half');
        setTimeout(() => void fake.stop(), 50);
      };
      // Stopped by its own script: not once more.
      world.later(() => fake.start());
    },
  },
];

export default {
  prepare: (world) =>
    world.daemon.post('/v3/sessions', { sessionId: 'do-goes-on', messages: [{ role: 'user', content: 'first' }] }),
  cases: [...results, ...failures, ...daemons],
} satisfies Family;
