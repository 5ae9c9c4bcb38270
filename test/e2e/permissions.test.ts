import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { optaPaths } from '../../src/config/paths.ts';
import { forgetAllowed, readRemembered } from '../../src/config/remembered.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { type Daemon, type Reply, type TestSocket, until } from '../support/daemon.ts';
import { checkedLog, ofTurn, openWorld, say, type World } from './world.ts';

/** Permissions over the real wire, with the real tool behind them: what a decision says is what happens to the file. */
const DENY = { tool: 'write_file', path: 'secret*', action: 'deny' };
const DEADLINE_MS = 400;

let world: World;
let hurried: World;
beforeAll(async () => {
  [world, hurried] = await Promise.all([
    openWorld({ config: { permissions: { rules: [DENY] } } }),
    openWorld({ config: { permissions: { deadlineMs: DEADLINE_MS } } }),
  ]);
});
afterAll(async () => {
  await Promise.all([world?.close(), hurried?.close()]);
});

let daemon: Daemon;
let sessionId: string;
let serial = 0;
beforeEach(async () => {
  daemon = world.daemon;
  sessionId = await daemon.create({ workspace: world.workspace });
});

const write = (path: string): string =>
  say({ tools: [{ name: 'write_file', args: { path, content: 'written' } }], text: 'finished' });
const fresh = (name: string): string => `${name}-${++serial}.txt`;
const submit = async (content: string, more: object = {}): Promise<string> =>
  (await daemon.submit(sessionId, { content, ...more })).turnId;
const decide = (requestId: string, decision: string, decidedBy: string, session = sessionId): Promise<Reply> =>
  daemon.post(`/v3/sessions/${session}/permissions/${requestId}`, { decision, decidedBy });

/** What the model was told about the call in the next step. */
const toldModel = (w: World): string => {
  const tool = w.lmx.requests.at(-1)?.body.messages?.findLast((m) => m.role === 'tool');
  return tool?.content ?? '';
};
const resolutions = (records: readonly LogRecord[], turnId: string): LogRecord[] =>
  ofTurn(records, turnId).filter((r) => r.event === 'permission.resolved');
const started = (records: readonly LogRecord[], turnId: string): boolean =>
  ofTurn(records, turnId).some((r) => r.event === 'tool.start');

const finished = async (socket: TestSocket, turnId: string): Promise<LogRecord[]> => {
  await socket.terminal(turnId);
  const { records, violations } = checkedLog(sessionId, await daemon.log(sessionId));
  expect(violations).toEqual([]);
  return records;
};

describe('permissions', () => {
  test('[PM1][PM4] allow: the request names its call and its deadline, and the file appears only after the decision', async () => {
    const socket = await daemon.socket(sessionId);
    const path = fresh('allowed');
    const askedAt = Date.now();
    const turnId = await submit(write(path));
    const { payload } = await socket.record('permission.request');
    expect(payload).toMatchObject({ turnId, toolName: 'write_file', args: { path, content: 'written' } });
    const leftMs = Date.parse(payload.expiresAt) - askedAt;
    expect(leftMs).toBeGreaterThan(100_000);
    expect(leftMs).toBeLessThan(140_000);
    expect(existsSync(join(world.workspace, path))).toBe(false);

    const reply = await decide(payload.requestId, 'allow', 'ana');
    expect([reply.status, reply.json]).toEqual([200, { ok: true, conflict: false, decision: 'allow' }]);
    const records = await finished(socket, turnId);
    expect(readFileSync(join(world.workspace, path), 'utf8')).toBe('written');
    expect(resolutions(records, turnId)).toMatchObject([
      { payload: { decision: 'allow', reason: 'person', decidedBy: 'person:ana' } },
    ]);
  });

  test('[PM4] deny over the socket: no file, the model is told, the turn goes on to its end', async () => {
    const socket = await daemon.socket(sessionId);
    const path = fresh('denied');
    const turnId = await submit(write(path));
    const { requestId } = (await socket.record('permission.request')).payload;
    const ack = await socket.ask({
      type: 'permission.resolve',
      sessionId,
      requestId,
      decision: 'deny',
      decidedBy: 'ben',
    });
    expect(ack).toMatchObject({ type: 'ack', action: 'permission.resolve', result: { ok: true, decision: 'deny' } });
    const records = await finished(socket, turnId);
    expect(existsSync(join(world.workspace, path))).toBe(false);
    expect(started(records, turnId)).toBe(false);
    expect(toldModel(world)).toMatch(/declined/i);
    expect(records.findLast((r) => r.event === 'turn.done')?.payload).toMatchObject({ turnId });
  });

  test('[PM2] two people decide at once over two sockets: one wins, the other is told who', async () => {
    const [left, right] = [await daemon.socket(sessionId), await daemon.socket(sessionId)];
    const winners = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const path = fresh('contested');
      const turnId = await submit(write(path));
      const { requestId } = (await left.record('permission.request', (p) => p.turnId === turnId)).payload;
      await right.record('permission.request', (p) => p.turnId === turnId);
      const frame = { type: 'permission.resolve', sessionId, requestId };
      const allow = (): Promise<{ [field: string]: unknown }> =>
        left.ask({ ...frame, decision: 'allow', decidedBy: 'left' });
      const deny = (): Promise<{ [field: string]: unknown }> =>
        right.ask({ ...frame, decision: 'deny', decidedBy: 'right' });
      const [first, second] = i % 2 === 0 ? [allow(), deny()] : [deny(), allow()];
      const answers = (await Promise.all([first, second])).map((a) => a.result as { ok: boolean });
      const won = answers.find((a) => a.ok);
      const lost = answers.find((a) => !a.ok);
      expect(answers.filter((a) => a.ok)).toHaveLength(1);

      const records = await finished(left, turnId);
      const resolved = resolutions(records, turnId) as (LogRecord & { event: 'permission.resolved' })[];
      expect(resolved).toHaveLength(1);
      const { decision, decidedBy } = (resolved[0] as (typeof resolved)[number]).payload;
      expect(won).toMatchObject({ decision });
      expect(lost).toMatchObject({ conflict: true, code: 'permission-resolved', decision, decidedBy });
      expect(existsSync(join(world.workspace, path))).toBe(decision === 'allow');
      winners.add(decidedBy);
    }
    expect([...winners].every((w) => w === 'person:left' || w === 'person:right')).toBe(true);
  });

  test('[PM2] a decision after the end is told who won; one that nobody asked for finds nothing', async () => {
    const socket = await daemon.socket(sessionId);
    const path = fresh('late');
    const turnId = await submit(write(path));
    const { requestId } = (await socket.record('permission.request')).payload;
    await decide(requestId, 'deny', 'ana');
    await finished(socket, turnId);
    const late = await decide(requestId, 'allow', 'ben');
    expect([late.status, late.json]).toMatchObject([
      409,
      { ok: false, conflict: true, decision: 'deny', decidedBy: 'person:ana' },
    ]);
    const unknown = await decide('perm_nobody', 'allow', 'ben');
    expect([unknown.status, unknown.json.code]).toEqual([404, 'permission-not-found']);
    expect(existsSync(join(world.workspace, path))).toBe(false);
  });

  test('[PM1] a request belongs to its session: another session, known or not, answers 404 and decides nothing', async () => {
    const socket = await daemon.socket(sessionId);
    const other = await daemon.create();
    const path = fresh('foreign');
    const turnId = await submit(write(path));
    const { requestId } = (await socket.record('permission.request')).payload;
    for (const wrong of [other, 'no-such-session']) {
      const reply = await decide(requestId, 'allow', 'mallory', wrong);
      expect(reply.status).toBe(404);
    }
    expect(resolutions(socket.records, turnId)).toEqual([]);
    expect((await daemon.get(`/v3/sessions/${sessionId}/why`)).json.state).toBe('waiting-for-permission');
    await decide(requestId, 'deny', 'ana');
    await finished(socket, turnId);
    expect(existsSync(join(world.workspace, path))).toBe(false);
  });

  test('[PM3] nobody answers: denied at the announced deadline, the model is told, a late answer finds it decided', async () => {
    daemon = hurried.daemon;
    sessionId = await daemon.create({ workspace: hurried.workspace });
    const socket = await daemon.socket(sessionId);
    const path = fresh('unanswered');
    const turnId = await submit(write(path));
    const asked = await socket.record('permission.request');
    expect(Date.parse(asked.payload.expiresAt) - Date.parse(asked.ts)).toBe(DEADLINE_MS);
    const records = await finished(socket, turnId);
    const [resolved] = resolutions(records, turnId);
    expect(resolved).toMatchObject({ payload: { decision: 'deny', reason: 'timeout', decidedBy: 'daemon' } });
    // The deadline counts from the question; a timer may be a little early by the clock of the records.
    expect(Date.parse((resolved as LogRecord).ts) - Date.parse(asked.ts)).toBeGreaterThanOrEqual(DEADLINE_MS - 5);
    expect(existsSync(join(hurried.workspace, path))).toBe(false);
    expect(toldModel(hurried)).toMatch(/nobody allowed/i);
    const late = await decide(asked.payload.requestId, 'allow', 'ana');
    expect([late.status, late.json.decision]).toEqual([409, 'deny']);
  });

  test('[PM3] nobody is attached: denied at once and not asked', async () => {
    const path = fresh('alone');
    const turnId = await submit(write(path));
    await expect
      .poll(() => daemon.get(`/v3/sessions/${sessionId}`).then((r) => r.json.activeTurnId), { timeout: 10_000 })
      .toBeUndefined();
    const { records, violations } = checkedLog(sessionId, await daemon.log(sessionId));
    expect(violations).toEqual([]);
    expect(ofTurn(records, turnId).some((r) => r.event === 'permission.request')).toBe(false);
    expect(resolutions(records, turnId)).toMatchObject([{ payload: { decision: 'deny', reason: 'unattended' } }]);
    expect(existsSync(join(world.workspace, path))).toBe(false);
    expect(toldModel(world)).toMatch(/nobody is attached/i);
  });

  test('[PM11] always in this folder: other sessions of it are not asked, those elsewhere are, and it can be taken back', async () => {
    const socket = await daemon.socket(sessionId);
    const turnId = await submit(write(fresh('folder')));
    const { requestId } = (await socket.record('permission.request')).payload;
    const body = { decision: 'allow', decidedBy: 'ana', remember: 'workspace' };
    await daemon.post(`/v3/sessions/${sessionId}/permissions/${requestId}`, body);
    await finished(socket, turnId);
    const env = { OPTA_HOME: daemon.home, HOME: daemon.home };
    await expect.poll(() => readRemembered(optaPaths(env)).length, { timeout: 5_000 }).toBe(1);

    const decidedIn = async (workspace: string, path: string): Promise<string | undefined> => {
      sessionId = await daemon.create({ workspace });
      const one = await daemon.socket(sessionId);
      const next = await submit(write(path));
      const first = () => one.records.find((r) => ['permission.request', 'turn.done'].includes(r.event));
      await until('the question, or the end', () => first() !== undefined);
      const asked = first();
      if (asked?.event === 'permission.request') await decide(asked.payload.requestId, 'deny', 'ana');
      const records = ofTurn(await finished(one, next), next);
      const start = records.find((r) => r.event === 'tool.start');
      return start?.event === 'tool.start' ? start.payload.decidedBy : undefined;
    };
    const elsewhere = mkdtempSync(join(tmpdir(), 'opta-e2e-elsewhere-'));
    expect(await decidedIn(world.workspace, fresh('same'))).toBe('rule:remembered:write_file');
    expect(await decidedIn(world.workspace, 'secret-folder.txt')).toBe(undefined);
    expect(await decidedIn(elsewhere, 'a.txt')).toBe(undefined);
    expect(await forgetAllowed(optaPaths(env), world.workspace)).toMatchObject([{ tool: 'write_file' }]);
    expect(await decidedIn(world.workspace, fresh('after'))).toBe(undefined);
    rmSync(elsewhere, { recursive: true });
  });

  test('[PM11] of a command it is that command alone', async () => {
    const env = { OPTA_HOME: daemon.home, HOME: daemon.home };
    const run = (...commands: string[]) =>
      say({ tools: commands.map((command) => ({ name: 'run_command', args: { command } })), text: 'finished' });
    const socket = await daemon.socket(sessionId);
    const turnId = await submit(run('echo one', 'echo one', 'echo two'));
    const { requestId } = (await socket.record('permission.request')).payload;
    const body = { decision: 'allow', decidedBy: 'ana', remember: 'workspace' };
    await daemon.post(`/v3/sessions/${sessionId}/permissions/${requestId}`, body);
    const second = (await socket.record('permission.request', (p) => p.requestId !== requestId)).payload;
    expect(second.args).toEqual({ command: 'echo two' });
    await decide(second.requestId, 'deny', 'ana');
    const starts = ofTurn(await finished(socket, turnId), turnId).filter((r) => r.event === 'tool.start');
    expect(starts.map((r) => (r.event === 'tool.start' ? r.payload.decidedBy : ''))).toEqual([
      'person:ana',
      'remembered:ana',
    ]);
    expect((await daemon.get(`/v3/sessions/${sessionId}`)).json.remembered).toBe(undefined);
    await expect
      .poll(() => readRemembered(optaPaths(env)), { timeout: 5_000 })
      .toMatchObject([{ tool: 'run_command', command: 'echo one' }]);
    sessionId = await daemon.create({ workspace: world.workspace });
    const other = await daemon.socket(sessionId);
    const again = await submit(run('echo one'));
    await finished(other, again);
    expect(other.records.some((r) => r.event === 'permission.request')).toBe(false);
    const next = await submit(run('echo two'));
    const asked = (await other.record('permission.request', (p) => p.turnId === next)).payload;
    await decide(asked.requestId, 'deny', 'ana');
    await finished(other, next);
    expect(await forgetAllowed(optaPaths(env), world.workspace, 'run_command')).toHaveLength(1);
  });

  test('[PM6] always, on either plane: the rest of the session is not asked, a deny rule still holds, and it can be taken back', async () => {
    const socket = await daemon.socket(sessionId);
    const paths = [fresh('always'), fresh('always'), fresh('always'), 'secret-always.txt'];
    const tools = paths.map((path) => ({ name: 'write_file', args: { path, content: 'written' } }));
    const turnId = await submit(say({ tools, text: 'finished' }));
    const { requestId } = (await socket.record('permission.request')).payload;
    const frame = { type: 'permission.resolve', sessionId, requestId, decidedBy: 'ana' };
    const misfit = await socket.ask({ ...frame, decision: 'deny', remember: 'session' });
    expect(misfit.result).toMatchObject({ ok: false, conflict: false, code: 'invalid-request' });
    const body = { decision: 'allow', decidedBy: 'ana', remember: 'session' };
    const reply = await daemon.post(`/v3/sessions/${sessionId}/permissions/${requestId}`, body);
    expect([reply.status, reply.json]).toEqual([200, { ok: true, conflict: false, decision: 'allow' }]);
    const records = ofTurn(await finished(socket, turnId), turnId);
    expect(paths.map((path) => existsSync(join(world.workspace, path)))).toEqual([true, true, true, false]);
    expect(records.flatMap((r) => (r.event === 'tool.start' ? [r.payload.decidedBy] : []))).toEqual([
      'person:ana',
      'remembered:ana',
      'remembered:ana',
    ]);
    expect(records.filter((r) => r.event === 'permission.request')).toHaveLength(1);

    const remembered = [{ tool: 'write_file', decidedBy: 'person:ana' }];
    expect((await daemon.get(`/v3/sessions/${sessionId}`)).json.remembered).toEqual(remembered);
    const patched = await daemon.call('PATCH', `/v3/sessions/${sessionId}`, { body: { forget: ['write_file'] } });
    expect([patched.status, patched.json.remembered]).toEqual([200, undefined]);
    const again = await submit(write(fresh('again')));
    const asked = (await socket.record('permission.request', (p) => p.turnId === again)).payload;
    await decide(asked.requestId, 'deny', 'ana');
    await finished(socket, again);
  });

  test('[PM7] a question: in a read-only mode too, a bare allow of an older client leaves it open, the answer is the result', async () => {
    const socket = await daemon.socket(sessionId);
    const ask = say({ tools: [{ name: 'ask_user', args: { question: 'Which?', options: ['a', 'b'] } }], text: 'done' });
    const turnId = await submit(ask, { mode: 'plan' });
    const asked = (await socket.record('permission.request')).payload;
    expect(asked).toMatchObject({ toolName: 'ask_user', question: { text: 'Which?', options: ['a', 'b'] } });
    const why = (await daemon.get(`/v3/sessions/${sessionId}/why`)).json;
    expect([why.state, why.text]).toEqual(['waiting-for-permission', expect.stringContaining('waits for an answer')]);

    const bare = await decide(asked.requestId, 'allow', 'old');
    expect([bare.status, bare.json]).toMatchObject([400, { ok: false, conflict: false, code: 'invalid-request' }]);
    const frame = { type: 'permission.resolve', sessionId, requestId: asked.requestId, decision: 'allow' };
    const long = await socket.ask({ ...frame, decidedBy: 'ana', answer: 'x'.repeat(8_001) });
    expect(long.code).toBe('invalid-request');
    const ack = await socket.ask({ ...frame, decidedBy: 'ana', answer: 'neither, see the "notes"' });
    expect(ack.result).toEqual({ ok: true, conflict: false, decision: 'allow' });
    const records = ofTurn(await finished(socket, turnId), turnId);
    expect(toldModel(world)).toBe('neither, see the "notes"');
    expect(records.find((r) => r.event === 'permission.resolved')?.payload).toMatchObject({
      decidedBy: 'person:ana',
      answer: 'neither, see the "notes"',
    });
    expect(records.find((r) => r.event === 'tool.end')?.payload).toMatchObject({ isError: false });
  });

  test('[PM4] a read-only mode is not offered writers, and a model that calls one all the same is refused', async () => {
    const socket = await daemon.socket(sessionId);
    for (const mode of ['plan', 'review', 'research']) {
      const path = fresh(mode);
      const turnId = await submit(write(path), { mode, overrides: { dangerous: true, auto: true } });
      const records = await finished(socket, turnId);
      expect(resolutions(records, turnId)).toMatchObject([
        { payload: { decision: 'deny', reason: 'rule', decidedBy: `rule:mode:${mode}` } },
      ]);
      expect(started(records, turnId)).toBe(false);
      expect(existsSync(join(world.workspace, path))).toBe(false);
      const offered = JSON.stringify(world.lmx.requests.at(-1)?.body.tools);
      expect(offered).toContain('read_file');
      expect(offered).not.toContain('write_file');
      expect(offered).not.toContain('edit_file');
    }
  });

  test("[PM5] a user's deny outranks dangerous and auto, and holds for that path alone", async () => {
    const socket = await daemon.socket(sessionId);
    const overrides = { dangerous: true, auto: true };
    writeFileSync(join(world.workspace, 'secret-old.txt'), 'untouched');
    const before = readdirSync(world.workspace);
    for (const path of ['secret.txt', 'secret-old.txt', 'secrets/a.txt']) {
      const turnId = await submit(write(path), { mode: 'do', overrides });
      const records = await finished(socket, turnId);
      expect(resolutions(records, turnId)).toMatchObject([
        { payload: { decision: 'deny', reason: 'rule', decidedBy: 'rule:user:write_file' } },
      ]);
      expect(started(records, turnId)).toBe(false);
    }
    expect(readdirSync(world.workspace)).toEqual(before);
    expect(readFileSync(join(world.workspace, 'secret-old.txt'), 'utf8')).toBe('untouched');

    const path = fresh('open');
    const turnId = await submit(write(path), { mode: 'do', overrides });
    const records = await finished(socket, turnId);
    expect(resolutions(records, turnId)).toEqual([]);
    expect(records.findLast((r) => r.event === 'tool.start')?.payload).toMatchObject({
      turnId,
      decidedBy: 'rule:dangerous',
    });
    expect(readFileSync(join(world.workspace, path), 'utf8')).toBe('written');
  });

  test.each(['./secret-way.txt', 'notes/../secret-way.txt', './/secret-way.txt', 'ABSOLUTE'])(
    "[PM5][TL1] a user's deny is not passed by spelling its path %s",
    async (spelling) => {
      const socket = await daemon.socket(sessionId);
      const target = join(world.workspace, 'secret-way.txt');
      rmSync(target, { force: true });
      mkdirSync(join(world.workspace, 'notes'), { recursive: true });
      const path = spelling === 'ABSOLUTE' ? target : spelling;
      const turnId = await submit(write(path), { mode: 'do', overrides: { dangerous: true } });
      const records = await finished(socket, turnId);
      expect(started(records, turnId)).toBe(false);
      expect(existsSync(target)).toBe(false);
    },
  );
});
