import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Daemon, startDaemon, stateFile } from '../support/daemon.ts';

let daemon: Daemon;
let token = '';
beforeAll(async () => {
  daemon = await startDaemon();
  token = JSON.parse(readFileSync(stateFile(daemon.home), 'utf8')).observerToken;
});
afterAll(() => daemon?.dispose());

test('[AC2] the daemon makes a token for observers and keeps it in the state and in a file of its own, both private', () => {
  const file = join(daemon.home, 'daemon', 'observer-token');
  expect(readFileSync(file, 'utf8')).toBe(token);
  expect(token).toMatch(/^[0-9a-f]{48}$/);
  expect(token).not.toBe(daemon.token);
  expect(statSync(file).mode & 0o077).toBe(0);
});

test('[AC2] with it everything can be seen, and a session is after all attempts what it was before', async () => {
  const sessionId = await daemon.create({ title: 'mine' });
  const before = await daemon.get(`/v3/sessions/${sessionId}`, { token });
  expect(before.status).toBe(200);
  const turn = { clientId: 'c', writerId: 'w', content: 'x', mode: 'do' };
  const attempts: [method: string, path: string, body?: unknown][] = [
    ['POST', '/v3/sessions', {}],
    ['POST', `/v3/sessions/${sessionId}/turns`, turn],
    ['POST', `/v3/sessions/${sessionId}/cancel`, { writerId: 'w' }],
    ['POST', `/v3/sessions/${sessionId}/permissions/p1`, { decision: 'allow', decidedBy: 'me' }],
    ['PATCH', `/v3/sessions/${sessionId}`, { title: 'theirs' }],
    ['DELETE', `/v3/sessions/${sessionId}`],
  ];
  for (const [method, path, body] of attempts) {
    const reply = await daemon.call(method, path, { token, ...(body === undefined ? {} : { body }) });
    expect([method, path, reply.status, reply.json.code]).toEqual([method, path, 403, 'read-only-token']);
  }
  const frames: { type?: string; code?: string }[] = [];
  const ws = new WebSocket(`ws://127.0.0.1:${daemon.port}/v3/ws?sessionId=${sessionId}&role=controller`, {
    headers: { authorization: `Bearer ${token}` },
  });
  ws.on('message', (data) => frames.push(JSON.parse(String(data))));
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
  ws.send(JSON.stringify({ type: 'turn.submit', sessionId, ...turn }));
  ws.send(JSON.stringify({ type: 'turn.cancel', sessionId, writerId: 'w' }));
  ws.send(JSON.stringify({ type: 'ping' }));
  await expect.poll(() => frames.some((f) => f.type === 'heartbeat'), { timeout: 5_000 }).toBe(true);
  ws.terminate();
  expect(frames.flatMap((f) => f.code ?? [])).toEqual(['read-only-token', 'read-only-token']);
  expect((await daemon.get(`/v3/sessions/${sessionId}`, { token })).text).toBe(before.text);
  expect((await daemon.get('/metrics', { token })).text).toContain('opta_turns_submitted_total 0\n');
});
