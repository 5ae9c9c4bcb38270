import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER_MISSING, hasBrowser } from '../support/browser.ts';
import { aPageWorld } from './page-world.ts';

/**
 * What the old web client did for one message, in its order and with its headers: create with the session's id, model and whole history; a
 * socket from 0 with the token in its query, on which it sends nothing; then the turn, by a writer that is new each time; then events
 * until the turn's end, each filtered by turn once it knows its own. It runs in a real browser, as a page of its own origin.
 */
const CLIENT = `globalThis.oldClient = async ({ base, token, sessionId, history, content, mode, decide }) => {
  const headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' };
  const call = async (method, path, body) => {
    const answer = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(method + ' ' + path + ': ' + answer.status + ' ' + text);
    return JSON.parse(text);
  };
  const made = await call('POST', '/v3/sessions', { sessionId, model: 'fake-model', messages: [...history, { role: 'user', content }] });
  let turnId = null, cursor = 0, done, failed;
  const seen = { made, text: '', tools: [], asked: [], seqs: [], passedOver: 0 };
  const ended = new Promise((resolve, reject) => { done = resolve; failed = reject; });
  const early = [];
  const hear = (frame) => {
    const { event, payload, seq } = frame;
    if (turnId === null) { early.push(frame); return; }
    if (payload?.turnId && payload.turnId !== turnId) { seen.passedOver++; return; }
    if (event === 'turn.token') seen.text += payload.text;
    else if (event === 'tool.start') seen.tools.push([payload.id, payload.name, typeof payload.args]);
    else if (event === 'tool.end') seen.tools.push([payload.id, payload.name, typeof payload.result]);
    else if (event === 'permission.request') {
      seen.asked.push(payload.toolName);
      call('POST', '/v3/sessions/' + sessionId + '/permission', { requestId: payload.requestId, decision: decide, decidedBy: 'web' }).catch(failed);
    } else if (event === 'turn.done') done('done');
    else if (event === 'turn.error') failed(new Error(payload.message));
  };
  const socket = new WebSocket(base.replace('http', 'ws') + '/v3/ws?sessionId=' + sessionId + '&afterSeq=0&token=' + encodeURIComponent(token));
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if ('error' in frame) { failed(new Error(frame.error)); socket.close(); return; }
    if (typeof frame.event !== 'string') return;
    cursor = Math.max(cursor, frame.seq);
    seen.seqs.push(frame.seq);
    hear(frame);
  };
  const ids = { clientId: crypto.randomUUID(), writerId: crypto.randomUUID() };
  const submitted = await call('POST', '/v3/sessions/' + sessionId + '/turns', { ...ids, content, mode });
  turnId = submitted.turnId;
  for (const frame of early) hear(frame);
  seen.end = await ended;
  socket.close(1000);
  seen.history = (await call('GET', '/v3/sessions/' + sessionId)).messages;
  seen.cancelled = (await call('POST', '/v3/sessions/' + sessionId + '/cancel', { turnId })).cancelled;
  return seen;
};`;

interface Seen {
  made: { sessionId: string };
  text: string;
  tools: unknown[];
  asked: string[];
  seqs: number[];
  end: string;
  history: { role: string; content: string }[];
  cancelled: number;
}

describe.runIf(hasBrowser)(`the old web client in a browser${BROWSER_MISSING}`, { timeout: 90_000 }, () => {
  const world = aPageWorld();
  let site: Server;
  let home: string;
  beforeAll(async () => {
    site = createServer((_req, res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>'));
    await new Promise<void>((up) => void site.listen(0, '127.0.0.1', up));
    // Its own development server, by the name that people typed.
    home = `http://localhost:${(site.address() as AddressInfo).port}`;
  });
  afterAll(() => void site.close());
  afterEach(() => world.closeTabs());

  test('[OC1] its order of calls works twice in one session, and with a call that asks', async () => {
    const tab = await world.tab({ alsoTo: [world.origin()] });
    await tab.go(`${home}/favicon.ico`);
    await tab.page.evaluate(CLIENT);
    const turn = (content: string, history: object[], mode = 'chat'): Promise<Seen> =>
      tab.page.evaluate<Seen>(
        `oldClient(${JSON.stringify({ base: world.origin(), token: world.daemon.token, sessionId: 'old-web', history, content, mode, decide: 'allow' })})`,
      );
    const one = await turn(world.prompt({ text: 'the first answer', tps: 50 }), []);
    expect(one).toMatchObject({ text: 'the first answer', end: 'done', tools: [], asked: [], cancelled: 0 });

    const two = await turn(world.prompt({ text: 'the second answer', tps: 50 }), one.history);
    expect(two).toMatchObject({ text: 'the second answer', end: 'done', cancelled: 0 });
    expect(two.made.sessionId).toBe('old-web');
    // The whole log from its beginning, each event once.
    expect(two.seqs).toEqual(two.seqs.map((_, i) => i + 1));
    expect(two.seqs.slice(0, one.seqs.length)).toEqual(one.seqs);
    expect(two.history.filter((m) => m.role === 'assistant').map((m) => m.content)).toEqual([
      'the first answer',
      'the second answer',
    ]);

    const three = await turn(world.writes('old-web.txt'), two.history, 'do');
    expect(three).toMatchObject({ text: 'so be it', end: 'done', asked: ['write_file'] });
    expect(three.tools).toEqual([
      [expect.any(String), 'write_file', 'string'],
      [expect.any(String), 'write_file', 'string'],
    ]);
  });
});
