import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { ChatMessage, GenerateRequest } from '../../src/lmx/engine.ts';
import type { Step } from '../../src/lmx/engines/scripted.ts';
import { trimTo } from '../../src/lmx/trim.ts';
import { adapters } from '../support/adapters.ts';
import { events, MODEL, request, type Served, serve } from './server-world.ts';
import { words } from './world.ts';

const open: Served[] = [];
const lines: Socket[] = [];
afterEach(async () => {
  for (const line of lines.splice(0)) line.destroy();
  for (const served of open.splice(0)) await served.close();
});
const start: typeof serve = async (...args) => {
  const served = await serve(...args);
  open.push(served);
  return served;
};

/** Asks for a stream on a bare connection that reads nothing until it is told to. */
const unread = async (s: Served): Promise<{ line: Socket; rest(): Promise<string> }> => {
  const line = connect(s.server.port, '127.0.0.1');
  lines.push(line);
  await new Promise<void>((resolve) => line.once('connect', resolve));
  const body = JSON.stringify(request({ stream: true }));
  line.pause();
  line.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:${s.server.port}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  return {
    line,
    rest: () =>
      new Promise((resolve) => {
        const parts: Buffer[] = [];
        const end = (): void => resolve(Buffer.concat(parts).toString());
        line.on('data', (part: Buffer) => {
          parts.push(part);
          if (Buffer.concat(parts.slice(-2)).includes('[DONE]')) end();
        });
        line.once('error', end).once('close', end);
        line.resume();
      }),
  };
};

/** 16 MiB: more than the buffers of both systems take. */
const MUCH = 4_096;
const flood = function* (): Iterable<Step> {
  for (let i = 1; i <= MUCH; i++) yield { text: `<${i}>${'x'.repeat(4_096)}` };
};

describe.each(adapters())('readers of the inference server over %s', (adapter) => {
  test('of an event stream: who stops reading holds up his own answer alone, and misses nothing when he goes on', async () => {
    let made = 0;
    const s = await start(
      adapter,
      function* () {
        for (const step of flood()) {
          made++;
          yield step;
        }
      },
      { limits: { backlogBytes: 64 * 1024 } },
    );
    const slow = await unread(s);
    let before = -1;
    while (made !== before || made === 0) {
      before = made;
      await sleep(100);
    }
    expect(made).toBeLessThan(MUCH);
    expect(s.engine.active()).toBe(1);
    const text = await slow.rest();
    const pieces = [...text.matchAll(/<(\d+)>/g)].map((m) => Number(m[1]));
    expect(pieces).toEqual(Array.from({ length: MUCH }, (_, i) => i + 1));
    expect(text).toContain('data: [DONE]');
  });

  test('of an event stream: who takes nothing for too long is cut off, and the engine stops', async () => {
    const s = await start(adapter, flood, { limits: { readerMs: 150, backlogBytes: 64 * 1024 } });
    const slow = await unread(s);
    await expect.poll(() => s.engine.active()).toBe(1);
    await expect.poll(() => s.engine.active(), { timeout: 5_000 }).toBe(0);
    expect(s.engine.cancelled).toBe(1);
    expect(await slow.rest()).not.toContain('[DONE]');
    expect(s.gateway.status()).toMatchObject({ inFlight: 0, queued: 0 });
  });

  test('[LG7] of somebody without a key nothing large is read', async () => {
    const s = await start(adapter, () => words(1), { apiKey: 'k' });
    const socket = await s.socket({ protocols: ['opta-lmx.auth'] });
    socket.send(JSON.stringify({ type: 'auth', token: 'k', more: 'x'.repeat(10_000) }));
    expect((await socket.closed).code).toBe(4401);
  });
});

const size = (messages: readonly ChatMessage[]): number => messages.reduce((n, m) => n + String(m.content).length, 0);
/** An engine with room for 100 characters, as the real one does it. */
const small = ({ messages, trim }: GenerateRequest): Step[] => {
  if (size(messages) <= 100) return [{ text: 'fits' }];
  const cut = trim ? trimTo(messages, 100, size) : null;
  if (!cut) return [{ fail: { code: 'context_length_exceeded', message: 'too long' } }];
  return [{ text: cut.messages.map((m) => m.role).join(' ') }, { end: { trimmed: cut.left } }];
};
const call = { id: 'c1', type: 'function', function: { name: 'look', arguments: '{}' } };
const LONG = [
  { role: 'system', content: 'be short' },
  { role: 'user', content: 'a'.repeat(60) },
  { role: 'assistant', content: 'b'.repeat(20), tool_calls: [call] },
  { role: 'tool', tool_call_id: 'c1', content: 'c'.repeat(30) },
  { role: 'user', content: 'go on' },
];

describe.each(adapters())('a context that is too small, over %s', (adapter) => {
  test('[LG9] is a real status on all wires, before any byte of an answer', async () => {
    const s = await start(adapter, small);
    for (const stream of [false, true]) {
      const refused = await s.post('/v1/chat/completions', request({ messages: LONG, stream }));
      expect([refused.status, refused.json.error.code]).toEqual([400, 'context_length_exceeded']);
    }
    const socket = await s.socket();
    socket.request({ messages: LONG });
    expect(await socket.last()).toMatchObject({ code: 'context_length_exceeded', status: 400, retryable: false });
  });

  test('[LG9] is cut where that is asked for: no result without its call, and it is told on all wires', async () => {
    const s = await start(adapter, small);
    const kept = 'system assistant tool user';
    const whole = await s.post('/v1/chat/completions', request({ messages: LONG, trim: true }));
    expect(whole.json.choices[0].message.content).toBe(kept);
    expect([whole.headers.get('x-opta-trimmed'), whole.json.usage.trimmed_messages]).toEqual(['1', 1]);
    const streamed = await s.post('/v1/chat/completions', request({ messages: LONG, trim: true, stream: true }));
    const { chunks, done } = events(streamed.text);
    expect(done).toBe(true);
    expect(chunks.map((c) => c.choices[0]?.delta.content ?? '').join('')).toBe(kept);
    expect(chunks.at(-1).usage.trimmed_messages).toBe(1);
    const socket = await s.socket();
    socket.request({ messages: LONG, trim: true });
    expect((await socket.last()).usage.trimmed_messages).toBe(1);
  });
});

describe.each(adapters())('the administration over %s', (adapter) => {
  test('[LG10, LG11] a load that nobody waits for is a job, one for a model, and can be asked after', async () => {
    const s = await start(adapter, () => words(1), {
      engine: { models: [{ id: MODEL }, { id: 'org/slow', cold: true, loadMs: 150 }] },
    });
    const load = (model_id: string) => s.post('/admin/models/load', { model_id, async: true });
    const [one, two] = [await load('org/slow'), await load('org/slow')];
    expect([one.status, one.json.status, two.json.job_id]).toEqual([202, 'loading', one.json.job_id]);
    const ask = async (url: string) => (await s.get(url)).json;
    await expect.poll(async () => (await ask(one.json.progress_url)).status, { timeout: 5_000 }).toBe('loaded');
    expect((await s.get('/v1/models/org/slow')).status).toBe(200);
    const bad = (await load('nobody')).json;
    await expect.poll(async () => (await ask(bad.progress_url)).status).toBe('failed');
    expect((await ask(bad.progress_url)).error).toMatchObject({ code: 'model_not_found' });
    const unknown = [await s.get('/admin/models/load/nope')];
    const away = await fetch(`${s.url}/admin/models/download/nope`, { method: 'DELETE' });
    expect([unknown[0]?.status, unknown[0]?.json.error.code, away.status]).toEqual([404, 'not_found', 404]);
  });
});

describe.each(adapters())('a hostile client over %s', (adapter) => {
  test('[LG4] who nests a thousand times too deep harms nobody, on the socket or over HTTP', async () => {
    const s = await start(adapter, () => words(3));
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const socket = await s.socket();
    socket.request({});
    socket.send(`{"type":"ping","t":${deep}}`);
    socket.send(`{"type":"chat.request","client_request_id":"d","messages":${deep}}`);
    await socket.find((f) => f.type === 'chat.done');
    await expect.poll(() => socket.frames.filter((f) => f.type === 'chat.error').length).toBe(2);
    const answer = await fetch(`${s.url}/v1/chat/completions`, {
      method: 'POST',
      body: `{"model":"${MODEL}","messages":${deep}}`,
    });
    expect(answer.status).toBe(400);
    expect((await s.post('/v1/chat/completions', request({}))).status).toBe(200);
  });
});
