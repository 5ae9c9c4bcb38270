import { afterEach, beforeEach, expect, test } from 'vitest';
import { cli, removeDir, tempDir } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let home: string;
let daemon: FakeDaemon;
beforeEach(async () => {
  home = tempDir();
  daemon = await new FakeDaemon().start();
  daemon.writeState(home);
});
afterEach(async () => {
  await daemon.stop();
  removeDir(home);
});

test('sessions list --json is an array of the known shape, [] when there is nothing, over as many pages as it takes', async () => {
  const none = await cli(home, ['sessions', 'list', '--json']);
  expect(none).toMatchObject({ code: 0, stdout: '[]\n' });
  for (let i = 1; i <= 5; i++) daemon.session(`s${i}`, i === 1 ? {} : { title: `title ${i}` });
  const [all, four, text] = await Promise.all([
    cli(home, ['sessions', '--json']),
    cli(home, ['sessions', 'list', '--json', '--limit', '4']),
    cli(home, ['sessions', 'list']),
  ]);
  expect(JSON.parse(all.stdout).map((s: { id: string }) => s.id)).toEqual(['s1', 's2', 's3', 's4', 's5']);
  expect(JSON.parse(all.stdout)[0]).toEqual({
    id: 's1',
    title: '(untitled)',
    tags: [],
    model: 'fake-model',
    created: '2026-01-01T00:00:00.000Z',
    messageCount: 0,
    toolCallCount: 0,
    updated: expect.any(String),
  });
  expect(JSON.parse(four.stdout)).toHaveLength(4);
  expect(text.stdout).toContain('title 2');
});

test('sessions show prints the conversation; control characters in it do not reach the terminal', async () => {
  daemon.session('s1', {
    messages: [
      { role: 'user', content: 'first' },
      { role: 'assistant', content: 'evil \u001b]52;c;aGk=\u0007 text' },
    ],
  });
  const [text, json, missing, noId, unknown] = await Promise.all([
    cli(home, ['sessions', 'show', 's1']),
    cli(home, ['sessions', 'show', 's1', '--json', '--limit', '1']),
    cli(home, ['sessions', 'show', 'nope', '--json']),
    cli(home, ['sessions', 'show']),
    cli(home, ['sessions', 'frobnicate']),
  ]);
  expect(text.stdout).toContain('first');
  expect(text.stdout).not.toContain('\u001b');
  expect(JSON.parse(json.stdout)).toMatchObject({
    id: 's1',
    cwd: '',
    messages: [{ role: 'assistant' }],
    compacted: false,
  });
  expect(missing.code).toBe(127);
  expect(JSON.parse(missing.stdout)).toMatchObject({ code: 'session-not-found', exit_code: 127 });
  expect(noId.code).toBe(2);
  expect(unknown.code).toBe(2);
});

test('inspect prints the chart of each live actor; why says it in words; without a daemon neither starts one', async () => {
  daemon.session('s1');
  const [inspect, json, why] = await Promise.all([
    cli(home, ['inspect']),
    cli(home, ['inspect', 's1', '--json']),
    cli(home, ['why', 's1']),
  ]);
  expect(inspect.stdout).toContain('stateDiagram-v2');
  expect(inspect.stdout).toMatch(/session session:s1 {2}ready\.idle/);
  expect(JSON.parse(json.stdout)).toMatchObject({ chart: 'daemon', children: [{ chart: 'session' }] });
  expect(why.stdout).toContain('idle: Nothing to do');
  const other = tempDir();
  const none = await cli(other, ['why', 's1', '--json']);
  removeDir(other);
  expect(none.code).toBe(1);
  expect(JSON.parse(none.stdout)).toMatchObject({ code: 'daemon-unreachable', exit_code: 1 });
});

test('[AU2] version, help and usage errors keep their exit codes and their streams', async () => {
  const [version, bare, help, unknown, option] = await Promise.all([
    cli(home, ['--version']),
    cli(home, []),
    cli(home, ['do', '--help']),
    cli(home, ['frobnicate']),
    cli(home, ['sessions', '--nope']),
  ]);
  expect(version).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  expect(bare).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('daemon') });
  for (const flag of ['--format', '--quiet', '--session', '--dangerous', '--yolo', '--timeout']) {
    expect(help.stdout).toContain(flag);
  }
  expect(unknown).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining("unknown command 'frobnicate'"),
  });
  expect(option).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining("unknown option '--nope'") });
});
