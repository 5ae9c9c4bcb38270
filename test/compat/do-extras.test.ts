import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli } from '../support/cli.ts';
import { aWorld, isTerminal, path } from './world.ts';

/** What `opta do` can do beyond the old one: leave early, and hold an answer to a schema. */
const world = aWorld();
const run = (...args: string[]) => cli(world.daemon.home, ['do', ...args]);
const saying = (text: string): string => `say it @@${JSON.stringify({ text })}@@`;

describe('--detach', () => {
  test('[AU4] leaves when the turn is accepted, with its ids; the turn goes on to its end', async () => {
    const slow = await run('--detach', '-f', 'json', 'count @@{"tokens":20,"tps":20}@@');
    expect(slow).toMatchObject({ code: 0, stderr: '' });
    const body = JSON.parse(slow.stdout);
    expect(body).toEqual({
      session_id: expect.stringMatching(/^\S{12}$/),
      turn_id: expect.stringMatching(/^\S{12}$/),
      status: 'accepted',
      queued: 0,
      exit_code: 0,
    });
    const watcher = await world.daemon.connect(path(body.session_id));
    expect(watcher.frames.some((f) => f.event === 'turn.done')).toBe(false);
    const end = await watcher.frame(isTerminal(body.turn_id), 'the end of the turn');
    expect(end.event).toBe('turn.done');
    await watcher.close();
  });

  test('[AU4] in words: one line for each id; with --quiet nothing; in an older session with its key, one turn', async () => {
    const words = await run('--detach', 'hello');
    expect(words.stdout).toMatch(/^session \S+\nturn \S+\n$/);
    const session = /^session (\S+)/.exec(words.stdout)?.[1] as string;
    const again = ['--detach', '-f', 'json', '--session', session, '--idempotency-key', 'job-1', 'more'];
    const twice = [await run(...again), await run(...again)].map((r) => JSON.parse(r.stdout).turn_id);
    expect(twice[0]).toBe(twice[1]);
    expect(await run('--detach', '-q', 'hello')).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('[AU4] what needs the end is refused before anything is submitted', async () => {
    const before = world.lmx.requests.length;
    for (const more of [
      ['-o', 'x'],
      ['--timeout', '5s'],
      ['--json-schema', '{}'],
    ]) {
      const refused = await run('--detach', '-f', 'json', ...more, 'hello');
      expect(refused.code, more[0]).toBe(2);
      expect(JSON.parse(refused.stdout)).toMatchObject({ exit_code: 2, error: expect.stringContaining('--detach') });
    }
    expect(world.lmx.requests.length).toBe(before);
  });
});

describe('--json-schema', () => {
  const schema = {
    type: 'object',
    properties: { city: { type: 'string' }, people: { type: 'integer', minimum: 1 } },
    required: ['city', 'people'],
    additionalProperties: false,
  };
  const inline = JSON.stringify(schema);

  test('[AU4] the model is asked for it, and an answer that obeys is printed alone, or as data beside the contract fields', async () => {
    writeFileSync(join(world.daemon.home, 'city.schema.json'), inline);
    const answer = '{"city": "Graz", "people": 300000}';
    const text = await run('--json-schema', 'city.schema.json', '-o', 'city.json', saying(answer));
    expect(text).toMatchObject({ code: 0, stdout: '{\n  "city": "Graz",\n  "people": 300000\n}\n' });
    expect(readFileSync(join(world.daemon.home, 'city.json'), 'utf8')).toBe(text.stdout);
    const asked = world.lmx.requests.at(-1)?.body.messages?.findLast((m) => m.role === 'user')?.content;
    expect(asked).toContain(inline);
    expect(asked).toContain('say it');

    const fenced = await run('--json-schema', inline, '-f', 'json', saying(`\`\`\`json\n${answer}\n\`\`\``));
    const body = JSON.parse(fenced.stdout);
    expect(Object.keys(body).slice(0, 4)).toEqual(['result', 'tool_calls', 'model', 'exit_code']);
    expect(body).toMatchObject({ exit_code: 0, status: 'completed', data: { city: 'Graz', people: 300_000 } });
    expect(typeof body.result).toBe('string');
  });

  test('[AU4] an answer that does not obey is a failure with its own code: where, why, and what was said; stdout has no other result', async () => {
    const wrong = await run(
      '--json-schema',
      inline,
      '-f',
      'json',
      '-o',
      'bad.json',
      saying('{"city":"Graz","people":0}'),
    );
    const body = JSON.parse(wrong.stdout);
    expect(wrong.code).toBe(1);
    expect(body).toMatchObject({
      error: 'The answer does not match the schema: /people must be >= 1',
      exit_code: 1,
      code: 'schema-mismatch',
      answer: '{"city":"Graz","people":0}',
      issues: [{ path: '/people', message: 'must be >= 1' }],
      status: 'completed',
    });
    expect(body).not.toHaveProperty('result');
    const prose = await run('--json-schema', inline, '-o', 'prose.json', saying('Graz, I think.'));
    expect(prose).toMatchObject({ code: 1, stdout: '' });
    expect(prose.stderr).toContain('The answer is not JSON');
    expect(existsSync(join(world.daemon.home, 'prose.json'))).toBe(false);
  });

  test('[AU4] a later draft is understood by its name; what is no schema is refused before anything is submitted', async () => {
    const later = JSON.stringify({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'array',
      prefixItems: [{ type: 'string' }],
    });
    const wrong = await run('--json-schema', later, '-f', 'json', saying('[1]'));
    expect(JSON.parse(wrong.stdout)).toMatchObject({ code: 'schema-mismatch', issues: [{ path: '/0' }] });
    const before = world.lmx.requests.length;
    for (const bad of ['nowhere.json', '{"type":', '{"type":"nothing"}', '{"$ref":"https://example.invalid/x"}']) {
      const refused = await run('--json-schema', bad, '-f', 'json', 'hello');
      expect(refused.code, bad).toBe(2);
      expect(JSON.parse(refused.stdout).error).not.toContain('\n');
    }
    expect(world.lmx.requests.length).toBe(before);
  });
});
