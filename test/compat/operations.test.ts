import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, tempDir, until } from '../support/cli.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { startDaemon } from './daemon.ts';
import { aWorld, ISO, NUMBER, refused, settled, turn } from './world.ts';

/** The named operations of a running daemon, over the wire, and the commands with the same words beside them. */
const world = aWorld();

interface Row {
  id: string;
  title: string;
  description: string;
  safety: string;
}
const listed = async (): Promise<Row[]> =>
  ((await world.daemon.get('/v3/operations')).body as { operations: Row[] }).operations;
const run = (id: string, input?: object, more: object = {}) =>
  world.daemon.post(`/v3/operations/${id}`, { ...(input ? { input } : {}), ...more });
const resultOf = async <T>(id: string, input?: object): Promise<T> => {
  const { status, body } = await run(id, input);
  expect({ status, ...(body as object) }).toMatchObject({ status: 200, ok: true, id });
  return (body as { result: T }).result;
};

/** The ids that clients were written against, by family. */
const KNOWN = Object.entries({
  '': 'doctor diff embed rerank benchmark',
  account: 'status signup login keys.list keys.push keys.delete logout',
  apps: 'list install uninstall',
  audio: 'transcribe tts',
  browser: 'runtime host',
  ceo: 'benchmark',
  completions: 'generate',
  config: 'get set list reset',
  daemon: 'start stop status logs install uninstall',
  env: 'list show save use delete',
  init: 'run',
  key: 'create show copy',
  keychain: `status ${['anthropic', 'lmx', 'gemini', 'openai', 'opencode-zen'].map((p) => `set-${p} delete-${p}`).join(' ')}`,
  mcp: 'list add add-playwright remove test',
  models:
    'history aliases.list aliases.set aliases.delete dashboard predictor helpers quantize agents skills rag health scan browse.local browse.library',
  onboard: 'apply',
  serve: 'status start stop restart logs',
  sessions: 'list search export delete',
  update: 'run',
  vault: 'pull pull-keys pull-rules push-rules status',
  version: 'check',
}).flatMap(([family, names]) => names.split(' ').map((name) => (family === '' ? name : `${family}.${name}`)));

const OURS = [
  'doctor',
  'diff',
  'version.check',
  'completions.generate',
  'init.run',
  ...['start', 'stop', 'status', 'logs', 'install', 'uninstall'].map((name) => `daemon.${name}`),
  ...['list', 'search', 'export', 'delete'].map((name) => `sessions.${name}`),
];

describe('/v3/operations', () => {
  test('[OP1] lists what runs here, and nothing that does not; every id of old clients runs or is known to be left out', async () => {
    const rows = await listed();
    for (const row of rows)
      expect(row).toEqual({
        id: expect.stringMatching(/^[a-z][a-z.-]+$/),
        title: expect.stringMatching(/\S/),
        description: expect.stringMatching(/\S/),
        safety: expect.stringMatching(/^(read|write|dangerous)$/),
      });
    const ids = rows.map((row) => row.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(expect.arrayContaining(OURS));
    expect(KNOWN).toHaveLength(88);
    const left = KNOWN.filter((id) => !ids.includes(id));
    expect(left.length).toBeGreaterThan(20);
    for (const id of left) {
      const { status, body } = await run(id);
      expect({ id, status, body }).toEqual({
        id,
        status: 501,
        body: {
          ok: false,
          id,
          safety: expect.stringMatching(/^(read|write|dangerous)$/),
          error: {
            code: 'not-in-this-build',
            message: expect.stringMatching(/^Not part of this build: \S+ .+/),
            retryable: false,
          },
        },
      });
    }
  });

  test('[OP2] an id that nobody knows is 400 in the words of old clients, and names those that run', async () => {
    for (const id of ['nope', 'toString', '__proto__', 'sessions', 'daemon.stop2']) {
      const { status, body } = await run(id);
      expect(status, id).toBe(400);
      expect(body).toEqual(
        refused('Invalid operation id', 'invalid-request', {
          details: [
            {
              code: 'invalid_value',
              path: ['id'],
              message: `Unknown operation ${id}`,
              values: expect.arrayContaining(OURS),
            },
          ],
        }),
      );
    }
  });

  test('[OP2] the body is strict, may be empty or null, and an input that is wrong is the structured failure', async () => {
    const post = (body?: unknown) => world.daemon.post('/v3/operations/version.check', body);
    for (const body of [undefined, null, {}, { input: {} }, { input: { more: 1 } }, { confirmDangerous: true }])
      expect((await post(body)).status, JSON.stringify(body)).toBe(200);
    for (const body of [{ inputs: {} }, { confirmDangerous: 'yes' }, []]) {
      const answer = await post(body);
      expect(answer).toMatchObject({ status: 400, body: { error: 'Invalid request body', code: 'invalid-request' } });
    }
    const wrong = await run('sessions.export', { id: '../../etc' });
    expect(wrong).toMatchObject({
      status: 400,
      body: { ok: false, id: 'sessions.export', safety: 'read', error: { code: 'invalid-request', details: [{}] } },
    });
    const gone = await run('sessions.export', { id: 'nobody' });
    expect(gone).toMatchObject({ status: 404, body: { ok: false, error: { code: 'session-not-found' } } });
  });

  test('[OP2] what is dangerous runs only when it is confirmed', async () => {
    const rows = await listed();
    const dangerous = rows.filter((row) => row.safety === 'dangerous').map((row) => row.id);
    expect(dangerous).toEqual(expect.arrayContaining(['daemon.install', 'daemon.uninstall']));
    for (const id of dangerous)
      for (const more of [{}, { confirmDangerous: false }]) {
        const { status, body } = await run(id, {}, more);
        expect({ status, body }).toEqual({
          status: 403,
          body: {
            ok: false,
            id,
            safety: 'dangerous',
            error: { code: 'dangerous_confirmation_required', message: expect.stringContaining(id), retryable: false },
          },
        });
      }
  });
});

describe('daemon.*', () => {
  test('[OP3] status and start tell of this very daemon, with its tokens covered; the log is an array', async () => {
    const state = JSON.parse(readFileSync(join(world.daemon.home, 'daemon', 'state.json'), 'utf8'));
    const covered = {
      pid: state.pid,
      daemonId: world.daemon.daemonId,
      host: '127.0.0.1',
      port: world.daemon.port,
      token: '(hidden)',
      observerToken: '(hidden)',
      startedAt: ISO,
      logsPath: state.logsPath,
    };
    expect(await resultOf('daemon.status')).toEqual({ running: true, state: covered, logsPath: state.logsPath });
    expect(await resultOf('daemon.start')).toEqual(covered);
    const logs = await resultOf<{ msg: string }[]>('daemon.logs');
    expect(logs.map((line) => line.msg)).toContain('daemon ready');
    expect(await resultOf('daemon.logs', { lines: '1' })).toHaveLength(1);
    expect(JSON.stringify([await resultOf('daemon.status'), logs])).not.toContain(world.daemon.token);
  });

  test('[OP3] a log of very long lines is not read beyond its end, since everybody waits meanwhile', async () => {
    const { logsPath } = await resultOf<{ logsPath: string }>('daemon.status');
    const line = (n: number) => `${JSON.stringify({ msg: 'long', n, text: 'x'.repeat(300_000) })}\n`;
    appendFileSync(logsPath, Array.from({ length: 40 }, (_, n) => line(n)).join(''));
    const { text } = await run('daemon.logs', { lines: 2_000 });
    expect(text.length).toBeLessThan(1.1 * (1 << 20));
    const logs = (JSON.parse(text) as { result: { n: number }[] }).result;
    expect(logs.map(({ n }) => n)).toEqual([37, 38, 39]);
  });

  test('[OP3] stop is answered, and then the daemon ends as it does by a signal: sessions kept, files gone', async () => {
    const lmx = await startFakeLmx();
    const daemon = await startDaemon(lmx.port);
    try {
      await daemon.post('/v3/sessions', { sessionId: 'kept' });
      const folder = join(daemon.home, 'daemon');
      const answer = await daemon.post('/v3/operations/daemon.stop', {});
      expect(answer).toMatchObject({
        status: 200,
        body: { ok: true, id: 'daemon.stop', safety: 'write', result: { stopped: true, daemonId: daemon.daemonId } },
      });
      const log = () => readFileSync(join(folder, 'daemon.log'), 'utf8');
      await until(() => log().includes('"daemon stopped"'), 'the daemon to end', 20_000);
      expect(log()).not.toContain('uncaught');
      for (const name of ['state.json', 'daemon.pid']) expect(existsSync(join(folder, name)), name).toBe(false);
      await expect(daemon.get('/v3/health')).rejects.toThrow();
    } finally {
      await daemon.stop();
      await lmx.close();
    }
  });
});

describe('the same as the commands', { timeout: 120_000 }, () => {
  const json = async (...args: string[]): Promise<unknown> => {
    const said = await cli(world.daemon.home, args);
    expect({ args, code: said.code, stderr: said.stderr }).toEqual({ args, code: 0, stderr: '' });
    return JSON.parse(said.stdout);
  };

  test('[OP4] sessions: list, search and export, and a delete that can be taken back', async () => {
    for (const [id, title] of [
      ['opsone1', 'first'],
      ['opstwo2', 'second words'],
    ])
      expect((await world.daemon.post('/v3/sessions', { sessionId: id, title })).status).toBe(201);
    const { body } = await world.daemon.post('/v3/sessions/opsone1/turns', turn('say hello'));
    await settled(world.daemon, 'opsone1', (body as { turnId: string }).turnId);
    const all = await resultOf('sessions.list', { limit: 250 });
    expect(all).toMatchObject((await json('sessions', 'list', '--json')) as object[]);
    expect(all).toMatchObject([{ id: 'opsone1', title: 'first', messageCount: 2 }, { id: 'opstwo2' }]);
    expect(await resultOf<object[]>('sessions.search', { query: 'second' })).toEqual([
      expect.objectContaining({ id: 'opstwo2', title: 'second words', tags: [], messageCount: 0, toolCallCount: 0 }),
    ]);
    expect(await resultOf('sessions.search', { query: 'second' })).toMatchObject(
      (await json('sessions', 'search', 'second', '--json')) as object[],
    );
    const exported = await resultOf<{ id: string }>('sessions.export', { id: 'opstwo' });
    expect(exported).toMatchObject({ id: 'opstwo2', model: 'fake-model', messages: [], compacted: false });
    expect(await json('sessions', 'export', 'opstwo2')).toMatchObject(exported);
    expect(await resultOf('sessions.delete', { id: 'opstwo2' })).toEqual({ id: 'opstwo2' });
    expect(await resultOf('sessions.search', { query: 'second' })).toEqual([]);
    expect(await resultOf<object[]>('sessions.list', { deleted: true })).toMatchObject([{ id: 'opstwo2' }]);
    expect((await run('sessions.list', { since: 'soon' })).status).toBe(400);
    expect((await run('sessions.list', { limit: 0 })).status).toBe(400);
  });

  test('[OP4] doctor has the shape of the command and looks at the folder that it is given', async () => {
    interface Report {
      version: string;
      checks: { name: string; status: string; message: string }[];
      summary: object;
    }
    const workspace = tempDir();
    try {
      const report = await resultOf<Report>('doctor', { workspace });
      expect(Object.keys(report)).toEqual(['version', 'checks', 'summary']);
      expect(report.summary).toEqual({ passed: NUMBER, warnings: NUMBER, failures: NUMBER });
      const names = report.checks.map((check) => check.name);
      const ours = ['System Tools', 'Active Model', 'MCP', 'Git', 'Sessions', 'Disk Headroom', 'Daemon', 'Config'];
      expect(names).toEqual(expect.arrayContaining(ours));
      const check = (name: string) => report.checks.find((one) => one.name === name);
      expect(check('Daemon')).toMatchObject({
        status: 'pass',
        message: expect.stringContaining(`${world.daemon.port}`),
      });
      expect(check('Active Model')?.message).toContain('fake-model (OPTA_MODEL); loaded: fake-model');
      expect(check('Git')?.message).toContain(workspace);
      // Without a folder there is none to look at.
      expect((await resultOf<Report>('doctor')).checks.map((one) => one.name)).not.toContain('Git');
    } finally {
      rmSync(workspace, { recursive: true });
    }
  });

  test('[OP4] version and completions are what the commands print; init and diff take a folder', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await resultOf('version.check')).toEqual({
      version,
      latest: null,
      updateAvailable: null,
      message: expect.stringContaining('no update source'),
    });
    const { script } = await resultOf<{ script: string }>('completions.generate', { shell: 'fish' });
    expect(script).toBe((await cli(world.daemon.home, ['completions', 'fish'])).stdout);
    for (const input of [{ shell: 'tcsh' }, { shell: 'bash', install: true }])
      expect((await run('completions.generate', input)).status).toBe(400);

    const workspace = join(tempDir(), 'project');
    mkdirSync(workspace);
    try {
      expect(await resultOf('init.run', { workspace })).toMatchObject({
        created: [join('.opta', 'config.json'), 'AGENTS.md'],
      });
      writeFileSync(join(workspace, 'AGENTS.md'), 'mine');
      expect(await resultOf('init.run', { workspace })).toMatchObject({ created: [], kept: expect.any(Array) });
      expect(readFileSync(join(workspace, 'AGENTS.md'), 'utf8')).toBe('mine');
      expect(await resultOf('diff', { workspace })).toMatchObject({ workspace, repository: null, files: [], diff: '' });
      expect((await run('diff', {})).status).toBe(400);
      for (const id of ['diff', 'doctor', 'init.run'])
        for (const bad of ['relative', `${workspace}\0`, '', 7])
          expect((await run(id, { workspace: bad })).status, `${id} ${bad}`).toBe(400);
    } finally {
      rmSync(join(workspace, '..'), { recursive: true });
    }
  });
});
