import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, endOf, startCli } from '../support/cli.ts';
import { aWorld } from './world.ts';

/** `opta sessions` as scripts know it, against the real daemon. */
const world = aWorld();
const sessions = (...args: string[]) => cli(world.daemon.home, ['sessions', ...args]);
const ids = (stdout: string): string[] => (JSON.parse(stdout) as { id: string }[]).map((s) => s.id);
const make = (sessionId: string, more: object = {}) => world.daemon.post('/v3/sessions', { sessionId, ...more });

describe('finding', () => {
  test('[SE1] list and search obey model, tag, since and limit; tags are given and taken by hand', async () => {
    await make('find-one', { title: 'harbour lights', model: 'Big-One', metadata: { tags: ['sea', 'work'] } });
    await make('find-two', { title: 'harbour master', model: 'small' });
    await make('find-three', { title: 'meadow', model: 'big-three' });
    const tagged = await sessions('tag', 'find-two', 'sea', 'draft', '--json');
    expect(JSON.parse(tagged.stdout)).toEqual({ id: 'find-two', tags: ['sea', 'draft'] });
    const [byTag, byModel, search, both, future] = await Promise.all([
      sessions('--json', '--tag', 'sea', '--source', 'local'),
      sessions('list', '--json', '--model', 'BIG'),
      sessions('search', 'harbour', '--json', '--since', '7d'),
      sessions('find', 'harbour', '--json', '--model', 'small', '--tag', 'draft', '--limit', '5'),
      sessions('--json', '--since', '2999-01-01'),
    ]);
    expect(ids(byTag.stdout)).toEqual(['find-two', 'find-one']);
    expect(ids(byModel.stdout)).toEqual(['find-three', 'find-one']);
    expect(ids(search.stdout)).toEqual(['find-two', 'find-one']);
    expect(ids(both.stdout)).toEqual(['find-two']);
    expect(JSON.parse(both.stdout)[0].tags).toEqual(['sea', 'draft']);
    expect(future).toMatchObject({ code: 0, stdout: '[]\n' });
    const untagged = await sessions('untag', 'find-one', 'work', '--json');
    expect(JSON.parse(untagged.stdout).tags).toEqual(['sea']);
  });

  test('[SE1] a cut id is the session that it begins; two such are refused and nothing happens to either', async () => {
    await make('prefix-alpha');
    await make('prefix-beta');
    const [one, two, none] = await Promise.all([
      sessions('show', 'prefix-a', '--json'),
      sessions('delete', 'prefix-', '--json'),
      sessions('show', 'prefix-c', '--json'),
    ]);
    expect(JSON.parse(one.stdout)).toMatchObject({ id: 'prefix-alpha' });
    expect(two.code).toBe(2);
    expect(JSON.parse(two.stdout).error).toMatch(/prefix-.*prefix-(alpha|beta), prefix-(alpha|beta)$/);
    expect(none.code).toBe(127);
    expect(ids((await sessions('search', 'prefix-', '--json')).stdout).sort()).toEqual(['prefix-alpha', 'prefix-beta']);
    // Put away and taken back by the beginning of its name.
    expect((await sessions('rm', 'prefix-b')).code).toBe(0);
    expect((await sessions('undelete', 'prefix-b')).stdout).toBe('Restored prefix-beta\n');
    // The other commands that are given a session know it by the same words.
    const opta = (...args: string[]) => cli(world.daemon.home, args);
    const [why, inspect, twice, done] = await Promise.all([
      opta('why', 'prefix-a', '--json'),
      opta('inspect', 'prefix-a', '--json'),
      opta('why', 'prefix-', '--json'),
      opta('do', '--session', 'prefix-a', '-f', 'json', 'hello'),
    ]);
    expect([why.code, inspect.code, twice.code]).toEqual([0, 0, 2]);
    expect(JSON.parse(done.stdout)).toMatchObject({ exit_code: 0, session_id: 'prefix-alpha' });
  });
});

describe('export', () => {
  test('[SE2] the record that scripts know, without --json too; the log and a text on request; to a file in one step', async () => {
    const done = await cli(world.daemon.home, ['do', '-f', 'json', 'say @@{"text":"Grüße"}@@']);
    const { session_id: id } = JSON.parse(done.stdout);
    const [record, log, text, file] = await Promise.all([
      sessions('export', id.slice(0, 8)),
      sessions('export', id, '--format', 'jsonl'),
      sessions('export', id, '--format', 'markdown'),
      sessions('export', id, '-o', 'kept.json', '--json'),
    ]);
    const body = JSON.parse(record.stdout);
    expect(Object.keys(body)).toEqual([
      'id',
      'created',
      'updated',
      'model',
      'cwd',
      'title',
      'tags',
      'messages',
      'toolCallCount',
      'compacted',
    ]);
    expect(body.messages.at(-1)).toEqual({ role: 'assistant', content: 'Grüße' });
    expect(record.stdout).toBe(`${JSON.stringify(body, null, 2)}\n`);
    const events = log.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).seq);
    expect(events).toEqual(events.map((_, i) => i + 1));
    expect(text.stdout).toContain('Grüße');
    const kept = join(world.daemon.home, 'kept.json');
    expect(JSON.parse(file.stdout)).toEqual({
      id,
      format: 'json',
      file: kept,
      bytes: Buffer.byteLength(record.stdout),
    });
    expect(readFileSync(kept, 'utf8')).toBe(record.stdout);
  });

  test('[SE2] of what cannot be exported no file is left', async () => {
    const runs = await Promise.all([
      sessions('export', 'nobody-here', '-o', 'gone.json', '--json'),
      sessions('export', 'find-one', '-o', 'no/such/folder.json', '--json'),
      sessions('export', 'find-one', '--format', 'pdf', '--json'),
    ]);
    expect(runs.map((r) => r.code)).toEqual([127, 2, 2]);
    for (const r of runs) expect(JSON.parse(r.stdout).exit_code).toBe(r.code);
    expect(readdirSync(world.daemon.home).filter((name) => /gone|\.part$/.test(name))).toEqual([]);
  });

  test('[SE2, AU1] a reader of an export that leaves is no error', async () => {
    const content = 'x'.repeat(1_000);
    const messages = Array.from({ length: 4_000 }, () => ({ role: 'user', content }));
    await make('long-one', { messages });
    const child = startCli(world.daemon.home, ['sessions', 'export', 'long-one']);
    child.stdin?.end();
    child.stdout?.once('data', () => child.stdout?.destroy());
    expect(await endOf(child)).toMatchObject({ code: 0, stderr: '' });
  });
});
