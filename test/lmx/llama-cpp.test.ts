import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../scripts/lib/tiny-gguf.mjs';
import type { Engine } from '../../src/lmx/engine.ts';
import { createLlamaCpp } from '../../src/lmx/engines/llama-cpp.ts';
import { findLlamaCpp } from '../../src/lmx/engines/llama-cpp-library.ts';
import type { Gateway } from '../../src/lmx/gateway.ts';
import { createGateway } from '../../src/lmx/gateway-system.ts';
import { newId, realClock } from '../../src/platform.ts';
import { Heard, SILENT } from './world.ts';

/**
 * Real inference: the library computes with random weights that are written here. It is installed by `node scripts/llama-cpp.mjs
 * install`, as CI does.
 */
const ADD = {
  type: 'function' as const,
  function: {
    name: 'add',
    description: 'adds two numbers',
    parameters: {
      type: 'object',
      properties: { a: { type: 'number' }, b: { type: 'number' } },
      required: ['a', 'b'],
    },
  },
};
const FOLDER = fileURLToPath(new URL('../../.build/llama-cpp', import.meta.url));
const library = findLlamaCpp([FOLDER]);

describe.skipIf(library === null)(
  '[LG13] llama.cpp with real weights (node scripts/llama-cpp.mjs install brings it)',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'opta-gguf-'));
    const file = join(folder, 'tiny.gguf');
    let engine: Engine;
    let gateway: Gateway;
    const load = (id = 'tiny', options: { contextLength?: number } = {}) =>
      new Promise<void>((resolve, reject) => gateway.load(id, options, (error) => (error ? reject(error) : resolve())));

    beforeAll(async () => {
      writeTinyGguf(file);
      engine = createLlamaCpp(
        {
          module: library?.module ?? '',
          models: [
            { id: 'tiny', file },
            { id: 'broken', file: `${file}.nope` },
          ],
          contextLength: 2_048,
          threads: 1,
          silentMs: 2_000,
        },
        { clock: realClock, log: SILENT },
      );
      gateway = createGateway(
        { limits: { restartBaseMs: 50 } },
        { engine, clock: realClock, log: SILENT, newId: () => newId() },
      );
      await load();
    }, 60_000);
    afterAll(async () => {
      await new Promise<void>((resolve) => gateway.drain(resolve));
      rmSync(folder, { recursive: true, force: true });
    });

    const ask = (fields: object = {}) => {
      const heard = new Heard();
      let usage: unknown = null;
      let trimmed = 0;
      const done = heard.done.bind(heard);
      heard.done = (result: Parameters<typeof done>[0] & { usage?: unknown; trimmed?: number }) => {
        usage = result.usage;
        trimmed = result.trimmed ?? 0;
        done(result);
      };
      const handle = gateway.submit(
        {
          model: 'tiny',
          messages: [{ role: 'user', content: 'Say something' }],
          temperature: 0,
          maxTokens: 24,
          ...fields,
        },
        { client: 'test', priority: 'normal' },
        heard,
      );
      const over = async (ms = 30_000) => {
        for (const end = Date.now() + ms; heard.outcome === null && Date.now() < end; ) await sleep(5);
        return { outcome: heard.outcome, text: heard.text_, usage, trimmed, error: heard.error };
      };
      return { heard, handle, over };
    };

    test('is loaded with its facts', () => {
      expect(gateway.models()).toMatchObject([{ id: 'tiny', readiness: 'routable', contextLength: 2_048 }]);
      expect(gateway.models()[0]?.memoryBytes).toBeGreaterThan(100_000);
    });

    test('gives the same answer twice, streamed, with the figures of its tokenizer', async () => {
      const first = await ask().over();
      expect(first.outcome).toBe('done length');
      expect(first.text.length).toBeGreaterThan(20);
      expect(first.usage).toMatchObject({ completionTokens: 24 });
      expect((first.usage as { promptTokens: number }).promptTokens).toBeGreaterThan(5);
      expect((await ask().over()).text).toBe(first.text);
      expect((await ask({ temperature: 1, seed: 5 }).over()).text).not.toBe(first.text);
    });

    test('[LG3] stops when it is cancelled, and answers the next at once', async () => {
      const { heard, handle } = ask({ maxTokens: 1_500 });
      while (heard.text_ === '') await sleep(2);
      const at = performance.now();
      handle.cancel(true);
      const next = ask({ maxTokens: 1 });
      expect(await next.over()).toMatchObject({ outcome: 'done length' });
      expect(performance.now() - at).toBeLessThan(1_000);
      expect(heard.outcome).toBe('done cancelled');
    });

    test('makes JSON where JSON is asked for', async () => {
      const schema = {
        type: 'object',
        properties: { a: { type: 'boolean' }, b: { enum: ['x', 'y'] } },
        required: ['a', 'b'],
      };
      const said = await ask({
        maxTokens: 400,
        responseFormat: { type: 'json_schema', json_schema: { schema } },
      }).over();
      expect(said.outcome).toBe('done stop');
      expect(JSON.parse(said.text)).toEqual({ a: expect.any(Boolean), b: expect.stringMatching(/^[xy]$/) });
    });

    test('makes any JSON where any is asked for, and takes no two things that exclude each other', async () => {
      const said = await ask({ maxTokens: 600, responseFormat: { type: 'json_object' } }).over();
      // Random weights may go on inside a string for ever; what is whole is JSON.
      if (said.outcome === 'done stop') expect(() => JSON.parse(said.text)).not.toThrow();
      else expect(said.outcome).toBe('done length');
      expect(said.text.trimStart()).toMatch(/^[[{"\d\-tfn]/);
      const both = { tools: [ADD], responseFormat: { type: 'json_object' } };
      expect(await ask(both).over()).toMatchObject({ outcome: 'failed not_supported' });
    });

    test('[LG8] offers tools, and says of a choice that it cannot make that it cannot', async () => {
      const said = await ask({ tools: [ADD], maxTokens: 16 }).over();
      expect(said.outcome).toMatch(/^done (?:length|stop|tool_calls)$/);
      const plain = await ask({ maxTokens: 16 }).over();
      const tokens = (of: typeof said) => (of.usage as { promptTokens: number }).promptTokens;
      // The tool is in the prompt.
      expect(tokens(said)).toBeGreaterThan(tokens(plain) + 20);
      expect(await ask({ tools: [ADD], toolChoice: 'required' }).over()).toMatchObject({
        outcome: 'failed not_supported',
      });
    });

    test('that hangs is killed, fails its answer once and comes back', async () => {
      const { heard, over } = ask({ maxTokens: 1_500 });
      while (heard.text_ === '') await sleep(2);
      const [{ pid }] = (engine.facts() as { processes: [{ pid: number }] }).processes;
      process.kill(pid, 'SIGSTOP');
      expect(await over(20_000)).toMatchObject({ outcome: 'failed engine_failed' });
      for (let i = 0; i < 600 && gateway.models()[0]?.readiness !== 'routable'; i++) await sleep(20);
      expect(await ask().over()).toMatchObject({ outcome: 'done length' });
    });

    test('[LG9] tells a prompt that is too long, or cuts it where that is asked for', async () => {
      const messages = [
        { role: 'system', content: 'brief' },
        ...Array.from({ length: 40 }, (_, i) => ({
          role: i % 2 ? 'assistant' : 'user',
          content: `${i} ${'word '.repeat(20)}`,
        })),
        { role: 'user', content: 'last' },
      ];
      const refused = await ask({ messages }).over();
      expect([refused.outcome, refused.error?.status]).toEqual(['failed context_length_exceeded', 400]);
      const cut = await ask({ messages, trim: true, maxTokens: 4 }).over();
      expect(cut.trimmed).toBeGreaterThan(10);
      expect(cut.outcome).toMatch(/^done/);
      // The prompt is not pushed out by an answer without a bound.
      const long = await ask({ messages: messages.slice(0, 10), maxTokens: 1_000_000 }).over();
      expect(long.outcome).toBe('done length');
      const { promptTokens, completionTokens } = long.usage as { promptTokens: number; completionTokens: number };
      expect(promptTokens + completionTokens).toBeLessThanOrEqual(2_048);
    });

    test('whose process is killed in the middle fails its answer once and comes back', async () => {
      const { heard, over } = ask({ maxTokens: 1_500 });
      while (heard.text_ === '') await sleep(2);
      const [{ pid }] = (engine.facts() as { processes: [{ pid: number }] }).processes;
      process.kill(pid, 'SIGKILL');
      expect(await over()).toMatchObject({ outcome: 'failed engine_failed' });
      for (let i = 0; i < 600 && gateway.models()[0]?.readiness !== 'routable'; i++) await sleep(20);
      expect(await ask().over()).toMatchObject({ outcome: 'done length' });
      expect(heard.late).toBe(0);
    });

    test('that is no model file is told, and leaves nothing', async () => {
      await expect(load('broken')).rejects.toMatchObject({ code: 'model_loader_crashed' });
      await expect(load('unknown')).rejects.toMatchObject({ code: 'model_not_found' });
      expect(gateway.models().map((m) => m.id)).toEqual(['tiny']);
    });

    test('is deleted only when it is not loaded', async () => {
      const remove = () =>
        new Promise<unknown>((resolve) => gateway.remove('tiny', (error, done) => resolve(error?.code ?? done)));
      expect(await remove()).toBe('model_in_use');
      await new Promise<void>((resolve) => gateway.unload('tiny', { force: false }, () => resolve()));
      expect(await remove()).toEqual({ freedBytes: expect.any(Number) });
      await expect(load()).rejects.toMatchObject({ code: 'model_loader_crashed' });
      writeTinyGguf(file);
      await load();
    });

    test('is unloaded: its process is gone', async () => {
      const [{ pid }] = (engine.facts() as { processes: [{ pid: number }] }).processes;
      await new Promise<void>((resolve) => gateway.unload('tiny', { force: false }, () => resolve()));
      expect(() => process.kill(pid, 0)).toThrow();
      await load();
    });
  },
);
